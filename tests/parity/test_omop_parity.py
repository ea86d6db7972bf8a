"""Our OMOP of synthea_ma20 against what OHDSI's ETL-Synthea made of the same files: every difference has its rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parity.omop_parity.__main__ import PAGE, reference

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parity.omop_parity.compare import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
# What the reference set holds: were a table of it not compared, its rows would go unseen.
ROWS = {
    "care_site": 90, "condition_era": 398, "condition_occurrence": 412, "cost": 2668, "death": 3, "device_exposure": 0,
    "drug_era": 86, "drug_exposure": 1367, "location": 22, "measurement": 13032, "observation": 7907, "observation_period": 24,
    "payer_plan_period": 193, "person": 24, "procedure_occurrence": 1327, "provider": 90, "visit_detail": 1192,
    "visit_occurrence": 1192,
}  # fmt: skip


@pytest.fixture(scope="module")
def compared(synthea_csv_lake: Path) -> tuple[dict[str, Outcome], str]:
    outcomes, page = reference(synthea_csv_lake / "silver" / "omop")
    return {o.table: o for o in outcomes}, page


def test_every_row_of_the_reference_is_compared(compared: tuple[dict[str, Outcome], str]) -> None:
    assert {table: o.theirs for table, o in compared[0].items()} == ROWS


@pytest.mark.parametrize("table", ROWS)
def test_nothing_is_unexplained_in(compared: tuple[dict[str, Outcome], str], table: str) -> None:
    out = compared[0][table]
    assert [kind for kind, _ in out.unexplained] == []
    assert out.same + out.differing + out.ours_only.total() == out.ours
    assert out.same + out.differing + out.theirs_only.total() == out.theirs


def test_the_page_tells_these_counts(compared: tuple[dict[str, Outcome], str]) -> None:
    assert PAGE.read_text(encoding="utf-8") == compared[1], "docs/parity.md is out of date: run make parity"
