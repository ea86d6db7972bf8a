"""The gate on tables whose answer is plain: keys, money, what stops; and the digest."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from carelake.core.config import Quality, Threshold
from carelake.core.lake import DeltaLake
from carelake.core.ops import CHECK_RESULT, PROFILE
from carelake.core.runlog import RunLog
from carelake.core.table import Field, Table
from carelake.quality import PLACE, check, digest, report
from carelake.quality.conservation import ask_money
from carelake.quality.tally import Tally
from carelake.silver.conformed.claim import CLAIM
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.cost import COST
from tests.helpers.small_cdm import asked, copy
from tests.helpers.tables import frame


def _table(name):
    return Table(
        name=f"gold/{name}",
        doc="One row per pair.",
        fields=(Field("a", "bigint", "First half"), Field("b", "bigint", "Second half")),
        key=("a", "b"),
    )


@pytest.fixture
def lake(spark, tmp_path):
    return DeltaLake(spark, str(tmp_path))


def _write(lake, table, *rows):
    data = lake.spark.createDataFrame([(*r, "run") for r in rows], f"{table.ddl}, `_run` string")
    lake.replace(table, data, {})


def _log(lake, run_id="run"):
    return RunLog(lake, run_id, "quality", datetime(2021, 1, 1, tzinfo=timezone.utc))


@pytest.mark.omop_rule(18)
def test_a_key_that_comes_twice_fails_and_null_is_a_value_of_its_own_place(lake):
    """DQD isPrimaryKey: primary keys are unique."""
    sound, twice, twice_null, empty = map(_table, ("sound", "twice", "twice_null", "empty"))
    _write(lake, sound, (1, 1), (1, 2), (None, 1), (1, None), (None, None))
    _write(lake, twice, (1, 1), (1, 1), (1, 1), (2, 1))
    _write(lake, twice_null, (None, 7), (None, 7), (7, None))
    _write(lake, empty)
    checked = check(lake, _log(lake), [sound, twice, twice_null, empty, _table("not_there")])
    found = {
        r["table_name"]: (r["rows_checked"], r["rows_violating"], r["status"])
        for r in checked.rows
        if r["check_name"] == "primary_key_unique"
    }
    assert found == {
        "gold/sound": (5, 0, "pass"),
        "gold/twice": (4, 2, "fail"),
        "gold/twice_null": (3, 1, "fail"),
        "gold/empty": (0, 0, "pass"),
    }
    assert {r["table_name"] for r in checked.stopping(["fatal"])} == {"gold/twice", "gold/twice_null"}
    assert checked.stopping(["own"]) == checked.stopping(["fatal"])  # no other check was asked
    assert checked.stopping(["convention"]) == []


def test_a_claim_whose_cost_is_another_amount_or_missing_is_found(spark):
    def claim(record, person, paid):
        return {"_source": "c", "_record": record, "source_person_id": person, "paid_by_payer": Decimal(paid)}

    def cost(record, paid):
        return {"_source": "c", "_record": record, "paid_by_payer": paid}

    claims = frame(spark, CLAIM, claim(1, "p", "10.10"), claim(2, "p", "0.20"), claim(3, "p", "5.00"), claim(4, "stranger", "9.99"),
                   claim(5, "p", "1.00"))  # fmt: skip
    persons = frame(spark, PERSON_LINK, {"source": "c", "source_person_id": "p", "person_id": 1})
    tally = Tally()
    # 2 is a cent short, 3 is lost, 5 has another amount too that no claim has
    costs = frame(spark, COST, cost(1, 10.1), cost(2, 0.19), cost(5, 1.0) | {"total_charge": 7.0})
    answer = ask_money(claims, persons, costs, tally)
    tally.run()
    (found,) = answer()
    assert (found["check_name"], found["rows_checked"], found["rows_violating"], found["status"]) == (
        "cost_is_paid",
        4,
        3,
        "fail",
    )


def test_a_cdm_is_checked_whole_its_results_kept_and_its_next_version_compared(lake):
    tables = {name: cdm_table(name) for name in copy()}
    ours = {r.table for r in asked()}
    from carelake.quality.published import all_rules

    site = Quality(
        {r.table: "not of this CDM" for r in all_rules() if r.table not in ours},
        (Threshold("isRequired", "DRUG_EXPOSURE", 50, "one of two", field="DRUG_TYPE_CONCEPT_ID"),
         Threshold("measureValueCompleteness", "DRUG_EXPOSURE", 50, "one of two", field="DRUG_TYPE_CONCEPT_ID")),
    )  # fmt: skip
    rows = copy()
    rows["drug_exposure"][1]["drug_type_concept_id"] = None  # within the site's threshold
    rows["condition_occurrence"][1]["provider_id"] = 99  # fatal
    for name, table in tables.items():
        lake.replace(table, frame(lake.spark, table, *rows[name]).select(*table.columns, "_run"), {})
    log = _log(lake)
    log.open()
    checked = check(lake, log, tables.values(), tables.values(), site)
    log.flush()
    failed = {(r["check_id"], r["severity"]) for r in checked.rows if r["status"] == "fail"}
    # the open visit is not exempt at this site
    assert failed == {
        ("field_isforeignkey_condition_occurrence_provider_id", "fatal"),
        ("field_fkdomain_visit_occurrence_visit_type_concept_id", "convention"),
        ("field_isstandardvalidconcept_visit_occurrence_visit_type_concept_id", "convention"),
    }
    assert [r["check_id"] for r in checked.stopping(["fatal"])] == [
        "field_isforeignkey_condition_occurrence_provider_id"
    ]

    kept = {r["check_id"]: r for r in lake.read(CHECK_RESULT).collect()}
    lost = kept["field_isforeignkey_condition_occurrence_provider_id"]
    assert (lost["table_name"], lost["field_name"], lost["rows_violating"], lost["rows_checked"], lost["examples"]) == (
        "silver/omop/condition_occurrence", "provider_id", 1, 4, [2])  # fmt: skip
    allowed = kept["field_isrequired_drug_exposure_drug_type_concept_id"]
    assert (allowed["status"], allowed["rows_violating"], allowed["threshold"], allowed["note"]) == (
        "pass",
        1,
        0.5,
        "one of two",
    )
    assert {
        r["value"]
        for r in lake.read(PROFILE).where("table_name = 'silver/omop/person' AND measure = 'rows'").collect()
    } == {3}

    assert checked.stopping(["own"]) == []  # of the lake itself all is well: what fails is the data's
    assert [r["check_id"] for r in checked.stopping(["own", "fatal"])] == [
        "field_isforeignkey_condition_occurrence_provider_id"
    ]

    told = json.loads(lake.storage.read_text(PLACE))
    assert told["Metadata"][0]["cdmSourceName"] == "c"
    assert len(told["CheckResults"]) == len(checked.results)
    assert any("1 of 4 (25.00 %, threshold 0 %), such as 2" in line for line in report(checked))


def test_the_digest_knows_rows_from_their_order_counts_and_places_of_null(lake):
    def of(*rows):
        _write(lake, table, *rows)
        ((_, n, mark),) = digest(lake, [table])
        return n, mark

    table = _table("some")
    first = of((1, 2), (3, None), (3, None))
    assert first == of((3, None), (1, 2), (3, None))
    others = [of((1, 2), (3, None)), of((1, 2), (None, 3), (None, 3)), of((2, 1), (3, None), (3, None)), of()]
    assert first not in others
    assert len(set(others)) == 4
