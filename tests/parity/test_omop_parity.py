"""Our OMOP of synthea_ma20 against what OHDSI's ETL-Synthea made of the same files: every difference has its rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.parity.omop_parity.__main__ import PAGE, facts_of_the_reference, reference
from tests.parity.omop_parity.compare import compare
from tests.parity.omop_parity.read import columns
from tests.parity.omop_parity.tables import COMPARISONS

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


def test_a_planted_value_is_never_explained(synthea_csv_lake: Path) -> None:
    """Each column of some rows that both sides have, changed in ours: a rule that held for anything would not see it."""
    facts = facts_of_the_reference(synthea_csv_lake / "silver" / "omop")
    unseen = []
    for how in COMPARISONS:
        key = {tuple(r[c] for c in how.key): r for r in facts.theirs[how.table]}
        paired = [r for r in facts.ours[how.table] if tuple(r[c] for c in how.key) in key]
        for row in paired[:: max(1, len(paired) // 10)]:
            other = key[tuple(row[c] for c in how.key)]
            for column in row.keys() - set(how.key):
                out = compare(how, [row | {column: planted(how.table, column, row[column])}], [other], facts)
                unseen += [] if out.unexplained else [(how.table, column)]
    assert unseen == []


def planted(table: str, column: str, value: Any) -> Any:
    """Another value of the column's type."""
    kind = columns(table)[column].type if column in columns(table) else "string"
    if isinstance(value, str) or kind == "string":
        return f"{value} planted"
    if kind in ("date", "timestamp_ntz"):
        moment = datetime.combine(value, datetime.min.time()) if value else datetime(1901, 2, 3, 4)
        return moment.date() + timedelta(days=3) if kind == "date" else moment + timedelta(days=3, hours=1)
    return (value or 0) + 424242
