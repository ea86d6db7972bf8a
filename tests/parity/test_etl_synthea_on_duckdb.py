"""The yardstick of the benchmark, ETL-Synthea's logic on DuckDB, makes what ETL-Synthea made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bench.etl_synthea import TABLES, build
from tests.parity.omop_parity.compare import Comparison, compare
from tests.parity.omop_parity.facts import Facts, folder_of_csv
from tests.parity.omop_parity.read import named, tables, typed
from tests.parity.omop_parity.tables import COMPARISONS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def both(data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    db = build(data / "synthea_ma20" / "csv", [data / "vocab" / "omop_shard", data / "vocab" / "dbt_synthea"])
    made = {}
    for name in TABLES:
        rows = db.sql(f"FROM {name}").to_arrow_table().to_pylist()
        made[name] = [typed(name, row) for row in rows]
    return named(made), named(tables(data / "reference_dev" / "etl_synthea_on_ma20"))


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_are_those_of_etl_synthea(
    both: tuple[dict[str, Any], dict[str, Any]], data: Path, table: str
) -> None:
    mine, theirs = both
    key = next(c.key for c in COMPARISONS if c.table == table)
    # Of visits that start on one day, cut to dates, either may be the one before.
    within_a_day = [
        r for c in COMPARISONS for r in c.differs if c.table == table and r.name == "order_within_a_day"
    ]
    facts = Facts(source={"encounters": folder_of_csv(data / "synthea_ma20" / "csv")["encounters"]})
    out = compare(Comparison(table, key, differs=tuple(within_a_day)), mine[table], theirs[table], facts)
    assert (out.ours, out.unexplained) == (out.theirs, [])
    assert out.differing <= 6
