"""The rows of the persons concerned, and those that stay: the same whether persons are few and named or many and joined."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from carelake.core.lake import DeltaLake
from carelake.core.step import EXTRACT_DATE, Step
from carelake.core.table import Field, Table
from carelake.silver import affected as of_persons
from carelake.silver.affected import Affected, people
from carelake.silver.link.tables import PERSON_LINK

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

VISITS = Table(
    name="silver/omop/some_visits",
    doc="One row per visit.",
    fields=(Field("visit", "bigint", "Its id"), Field("person_id", "bigint", "Whose"), Field("end", "date", "Its last day")),
    key=("visit",),
)  # fmt: skip
ERAS = replace(VISITS, name="silver/omop/some_eras")
# visit, person, end; the last publication knew the extract date of 5 May
ROWS = [(1, 10, "2024-01-01"), (2, 11, "2024-05-05"), (3, 12, "2024-02-02"), (4, 13, "2024-05-05")]


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> DeltaLake:
    lake = DeltaLake(spark, str(tmp_path / "lake"))
    values = ", ".join(f"({v}L, {p}L, DATE'{d}')" for v, p, d in ROWS)
    for table in (VISITS, ERAS):
        rows = spark.sql(f"SELECT * FROM VALUES {values} AS t(visit, person_id, end)")
        lake.replace(table, table.conform(rows).selectExpr("*", "'r' AS _run"), {})
    links = spark.sql(
        "SELECT 'ehr' AS source, concat('p', id) AS source_person_id, id AS person_id FROM range(10, 14)"
    )
    lake.replace(PERSON_LINK, PERSON_LINK.conform(links).selectExpr("*", "'r' AS _run"), {})
    return lake


def _visits(rows) -> list[int]:
    return sorted(r["visit"] for r in rows.collect())


@pytest.mark.parametrize("few", [1000, 0], ids=["named", "joined"])
def test_rows_are_of_the_persons_concerned_or_stay(
    lake: DeltaLake, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_persons, "FEW", few)
    spark = lake.spark
    concerned = people(lake, spark.createDataFrame([(10,), (10,)], "person_id bigint"))
    assert concerned.count() == 1
    records = spark.createDataFrame([("ehr", "p10")], "source string, source_person_id string")
    all_of_them = Affected(lake, lake.at({VISITS.name: 0, ERAS.name: 0}), concerned, records)
    # visits that ended on the old extract date look different on a later one: 11 and 13 are concerned as well
    step = Step(VISITS, {"day": EXTRACT_DATE}, lambda day: day, "Visits.", dated={VISITS: "end >= :day"})
    part = all_of_them.part(step, [], date(2024, 5, 5))
    assert (_visits(part.only(VISITS)), _visits(part.stay())) == ([1, 2, 4], [3])
    assert sorted(r["source_person_id"] for r in part.records.collect()) == ["p10", "p11", "p13"]
    # what is made from the visits follows them; what is made from another table does not
    eras = Step(ERAS, {"visits": VISITS}, lambda visits: visits, "Eras.")
    assert _visits(all_of_them.part(eras, [VISITS], None).stay()) == [3]
    assert _visits(all_of_them.part(eras, [], None).stay()) == [2, 3, 4]
    same_day = all_of_them.part(step, [], None)
    assert (_visits(same_day.only(VISITS)), _visits(same_day.stay())) == ([1], [2, 3, 4])
