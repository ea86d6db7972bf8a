"""A sender that exports everything each time: what is sent again adds nothing, and what changed is counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.books import read, unbalanced
from tests.helpers.runs import digests, run

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

EXPORT = {
    "patients": "Id,BIRTHDATE,RACE,ETHNICITY,GENDER,STATE\np1,1950-02-03,white,nonhispanic,M,Massachusetts\n",
    "payers": "Id,NAME\ni1,Aetna\n",
    "encounters": "Id,START,STOP,PATIENT,ENCOUNTERCLASS\ne1,2016-06-23T12:00:00Z,2016-06-23T13:00:00Z,p1,wellness\n"
    "e2,2017-06-23T12:00:00Z,2017-06-23T13:00:00Z,p1,wellness\n",
    "claims": "Id,PATIENTID,PROVIDERID,PRIMARYPATIENTINSURANCEID,SECONDARYPATIENTINSURANCEID,APPOINTMENTID,SERVICEDATE,"
    "LASTBILLEDDATE1,LASTBILLEDDATE2,HEALTHCARECLAIMTYPEID1\n"
    "c1,p1,d1,i1,,e1,2016-06-23T12:00:00Z,,,1\nc2,p1,d1,i1,,e2,2017-06-23T12:00:00Z,,,1\n",
    "claims_transactions": "ID,CLAIMID,CHARGEID,PATIENTID,TYPE,AMOUNT,FROMDATE,TODATE,PROCEDURECODE,UNITS,NOTES,TRANSFERTYPE,PAYMENTS,PROVIDERID\n"
    "t1,c1,21,p1,CHARGE,5.00,2016-06-23T12:00:00Z,2016-06-23T12:15:00Z,314076,1,,1,0.00,d1\n"
    "t2,c1,22,p1,PAYMENT,,2016-06-23T12:00:00Z,2016-06-23T12:15:00Z,314076,1,,,2.00,d1\n"
    "t3,c2,23,p1,CHARGE,7.00,2017-06-23T12:00:00Z,2017-06-23T12:15:00Z,314076,1,,1,0.00,d1\n"
    "t4,c2,24,p1,PAYMENT,,2017-06-23T12:00:00Z,2017-06-23T12:15:00Z,314076,1,,,7.00,d1\n",
}  # fmt: skip


def _written(folder: Path, tables: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_a_claim_that_changed_is_paid_once_although_all_it_refers_to_is_sent_again(
    spark: SparkSession, tmp_path: Path
) -> None:
    """One payment of the first claim is corrected from 2 to 3 dollars; every other record comes as it was."""
    lake = tmp_path / "lake"
    run(spark, lake, {"synthea_csv": _written(tmp_path / "one", EXPORT)}, "--until", "silver")
    later = {n: t.replace(",,,2.00,d1", ",,,3.00,d1") for n, t in EXPORT.items()}
    run(spark, lake, {"synthea_csv": _written(tmp_path / "two", later)}, "--until", "silver")
    costs = read(lake, "silver/omop/cost", ["total_charge", "paid_by_payer"]).to_pylist()
    assert sorted((r["total_charge"], r["paid_by_payer"]) for r in costs) == [(5.0, 3.0), (7.0, 7.0)]
    assert unbalanced(lake) == []
    parts = digests(spark, lake, "silver/omop")
    run(spark, lake, {"synthea_csv": tmp_path / "two"}, "--until", "silver", "--full")
    assert digests(spark, lake, "silver/omop") == parts
