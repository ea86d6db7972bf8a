"""silver/omop/brought: rows of someone else's CDM, v5.3 or v5.4, in the columns of v5.4."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from carelake.catalog import catalog
from carelake.core.session import pace
from carelake.silver.conformed.version import versions
from carelake.silver.omop.brought import as_brought, mappings, person_link
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.person import PERSON
from carelake.sources.omop import KEYS, SOURCE
from tests.helpers.bronze import bronze
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(autouse=True, scope="module")
def as_in_a_run(spark: SparkSession) -> Iterator[None]:
    """Settings of a run that brings a CDM; for the tests that follow as they were."""
    before = {
        k: spark.conf.get(k)
        for k in ("spark.sql.codegen.factoryMode", "spark.sql.constraintPropagation.enabled")
    }
    pace(spark, 0, constraints=False)
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


PEOPLE = "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id\n1,8507,1960,8527,0\n2.0,8532.0,1971.0,0,0\n"


def brought(spark: SparkSession, kind: str, text: str, **beside: str) -> list[dict[str, Any]]:
    """What the mapping of a table makes of its file and the files beside it, in the order in which they stand there."""
    files = {f"{kind}.csv": text.encode()} | {f"{name}.csv": t.encode() for name, t in beside.items()}
    mapping = {m.kinds[0]: m for m in mappings(KEYS, catalog().declared)}[kind]
    made = mapping.transform(bronze(spark, SOURCE, files, extract=date(2020, 1, 31)))
    rows = [r.asDict(recursive=True) for r in made.collect()]
    return sorted(rows, key=lambda r: (r["_at"]["record_no"], r.get("_part") or 0))


def problems(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [[p for p in r["_problems"] if p] for r in rows]


def test_names_of_5_3_become_those_of_5_4(spark: SparkSession):
    """OHDSI, "Changes from CDM v5.3 to CDM v5.4": visit_occurrence and visit_detail."""
    text = (
        "visit_detail_id,person_id,visit_detail_concept_id,visit_detail_start_date,visit_detail_end_date,"
        "visit_detail_type_concept_id,admitting_source_concept_id,admitting_source_value,discharge_to_concept_id,"
        "discharge_to_source_value,visit_detail_parent_id,visit_occurrence_id\n"
        "11,1,9201,2019-03-01,2019-03-04,32817,8870,ER,8536,HOME,10,5\n"
    )
    (row,) = brought(spark, "visit_detail", text, person=PEOPLE)
    assert problems([row]) == [[]]
    said = (
        "admitted_from_concept_id",
        "admitted_from_source_value",
        "discharged_to_concept_id",
        "discharged_to_source_value",
    )
    assert [row[c] for c in said] == [8870, "ER", 8536, "HOME"]
    assert (row["parent_visit_detail_id"], row["visit_occurrence_id"]) == (10, 5)


def test_names_of_5_4_are_taken_as_they_are_whatever_their_case_and_order(spark: SparkSession):
    text = (
        "DISCHARGED_TO_CONCEPT_ID,ADMITTED_FROM_CONCEPT_ID,PERSON_ID,VISIT_OCCURRENCE_ID,VISIT_CONCEPT_ID,VISIT_START_DATE,"
        "VISIT_END_DATE,VISIT_TYPE_CONCEPT_ID,BEYOND_THE_CDM\n8536,8870,1,5,9201,2019-03-01,2019-03-04,32817,x\n"
    )
    (row,) = brought(spark, "visit_occurrence", text, person=PEOPLE)
    assert (row["admitted_from_concept_id"], row["discharged_to_concept_id"], row["visit_concept_id"]) == (
        8870,
        8536,
        9201,
    )
    assert row["visit_start_datetime"] is None
    assert "beyond_the_cdm" not in row


def test_what_5_4_added_is_absent_of_a_file_of_5_3(spark: SparkSession):
    text = (
        "procedure_occurrence_id,person_id,procedure_concept_id,procedure_date,procedure_type_concept_id\n"
        "1,1,4107731,2019-03-01,32817\n"
    )
    (row,) = brought(spark, "procedure_occurrence", text, person=PEOPLE)
    assert (row["procedure_date"], row["procedure_end_date"]) == (date(2019, 3, 1), None)


def test_values_are_read_as_other_tools_write_them(spark: SparkSession):
    """Ids as floats, dates with a time or without hyphens, NA where R has no number; text stays text."""
    head = "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_type_concept_id,"
    text = head + (
        "value_as_number,unit_concept_id,value_source_value\n"
        "7.0,2.0,3000963.0,2019-03-01 00:00:00,2019-03-01 08:15:00,32817,13.5,NA,NA\n"
        "8,2,3000963,20190302,,32817,1e2,8713,\n"
    )
    one, two = brought(spark, "measurement", text, person=PEOPLE)
    assert problems([one, two]) == [[], []]
    assert (one["measurement_id"], one["person_id"], one["measurement_concept_id"]) == (7, 2, 3000963)
    assert (one["measurement_date"], one["measurement_datetime"]) == (
        date(2019, 3, 1),
        datetime(2019, 3, 1, 8, 15),
    )
    assert (one["value_as_number"], one["unit_concept_id"], one["value_source_value"]) == (13.5, None, "NA")
    assert (two["measurement_date"], two["value_as_number"], two["unit_concept_id"]) == (
        date(2019, 3, 2),
        100.0,
        8713,
    )


def test_a_value_that_is_none_of_its_type_is_told_by_column(spark: SparkSession):
    text = "person_id,gender_concept_id,year_of_birth,month_of_birth,birth_datetime\n1,male,1960,1.5,1960-02-30\n"
    (row,) = brought(spark, "person", text)
    assert problems([row]) == [["R_TYPE:gender_concept_id", "R_TYPE:month_of_birth", "R_DATE:birth_datetime"]]


def test_rows_of_a_person_who_is_not_there_or_refused_are_refused(spark: SparkSession):
    people = PEOPLE + "3,8507,soon,0,0\n4,8507,1960,0,0\n4,8532,1961,0,0\n"
    head = "death_date,death_type_concept_id,person_id\n"
    text = head + "".join(f"2019-01-0{n},32817,{n}\n" for n in (1, 2, 3, 4, 5))
    assert problems(brought(spark, "death", text, person=people)) == [[], [], *[["R_REF:person_id"]] * 3]


def test_two_people_with_one_id_are_both_refused(spark: SparkSession):
    rows = brought(spark, "person", PEOPLE + "2,8507,1990,0,0\n")
    assert problems(rows) == [[], *[["R_CONFLICT_DUP:same_key_other_content"]] * 2]


def test_two_events_with_one_id_are_two_facts_of_which_one_gets_another_id(spark: SparkSession):
    head = "drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date,drug_exposure_end_date,drug_type_concept_id\n"
    text = (
        head
        + "5,1,40213198,2014-04-24,2014-04-24,32818\n5,1,1713671,2012-02-14,2012-02-28,32838\n6,1,1713671,2013-02-14,2013-02-28,32838\n"
    )
    rows = brought(spark, "drug_exposure", text, person=PEOPLE)
    kept = [r for r in rows if not [p for p in r["_problems"] if p]]
    noted = [r for r in rows if [p for p in r["_problems"] if p]]
    assert sorted(r["drug_concept_id"] for r in kept) == [1713671, 1713671, 40213198]
    assert len({r["drug_exposure_id"] for r in kept}) == 3
    assert {5, 6} < {r["drug_exposure_id"] for r in kept}
    assert problems(noted) == [["R_CONFLICT_DUP:id_given_anew"]]
    assert noted[0]["_part"] == 1
    turned = brought(
        spark,
        "drug_exposure",
        head + "".join(reversed(text.removeprefix(head).splitlines(keepends=True))),
        person=PEOPLE,
    )
    ids = {(r["drug_concept_id"], r["drug_exposure_start_date"]): r["drug_exposure_id"] for r in kept}
    assert {
        (r["drug_concept_id"], r["drug_exposure_start_date"]): r["drug_exposure_id"]
        for r in turned
        if not r["_part"]
    } == ids


def test_a_person_dies_once(spark: SparkSession):
    text = "person_id,death_date\n1,2019-01-01\n1,2019-01-02\n"
    found = problems(brought(spark, "death", text, person=PEOPLE))
    assert sorted(found) == [[], ["R_CONFLICT_DUP:same_key_other_content"]]


def test_a_cost_is_of_the_person_of_its_event(spark: SparkSession):
    visits = "visit_occurrence_id,person_id\n5,1\n6.0,2.0\n"
    drugs = "drug_exposure_id,person_id\n5,2\n"
    text = "cost_id,cost_event_id,cost_domain_id,cost_type_concept_id,total_paid\n1,5,Visit,32814,10\n2,6,Visit,32814,20\n3,5,Drug,32814,30.25\n4,9,Visit,32814,1\n"
    rows = brought(spark, "cost", text, visit_occurrence=visits, drug_exposure=drugs)
    assert [(r["cost_id"], r["_person_id"]) for r in rows] == [(1, 1), (2, 2), (3, 2), (4, None)]
    assert float(rows[2]["total_paid"]) == 30.25


def test_cdm_source_of_5_3_gets_what_5_4_requires(spark: SparkSession):
    text = "cdm_source_name,cdm_holder,source_release_date,cdm_version\nA synthetic database,OHDSI,2019-05-25,v5.3.1\n"
    (row,) = brought(spark, "cdm_source", text)
    assert problems([row]) == [[]]
    assert (row["cdm_source_abbreviation"], row["cdm_holder"]) == ("A synthetic database", "OHDSI")
    assert (row["source_release_date"], row["cdm_release_date"]) == (date(2019, 5, 25), date(2019, 5, 25))
    assert (row["cdm_version"], row["cdm_version_concept_id"]) == ("v5.4", 756265)


def test_metadata_without_ids_gets_some(spark: SparkSession):
    text = "metadata_concept_id,metadata_type_concept_id,name,value_as_string\n0,32880,a,x\n0,32880,b,x\n"
    rows = brought(spark, "metadata", text)
    assert problems(rows) == [[], []]
    assert len({r["metadata_id"] for r in rows} - {None}) == 2


def test_rows_of_one_export_are_no_versions_of_each_other_and_the_export_landed_last_counts(
    spark: SparkSession,
):
    """Both exports are of one day. Of id 5 the first has A and B, the second A and D; of id 6 all are the same."""
    landed = [
        ("5", "A", "1"),
        ("5", "B", "1"),
        ("6", "C", "1"),
        ("6", "C", "1"),
        ("5", "A", "2"),
        ("5", "D", "2"),
        ("6", "C", "2"),
    ]
    at = {"1": datetime(2020, 2, 1), "2": datetime(2020, 2, 2)}
    rows = [
        (
            "drug_exposure",
            n,
            f"{key}",
            "d.csv",
            n,
            n,
            None,
            date(2020, 1, 31),
            content.encode(),
            run,
            at[run],
            None,
        )
        for n, (key, content, run) in enumerate(landed, start=1)
    ]
    ddl = (
        "kind string, record_id bigint, record_key string, file string, byte_offset bigint, record_no bigint, version_at timestamp, "
        "extract_date date, content_hash binary, _run string, ingested_at timestamp, problem string"
    )
    found = versions({"omop": spark.createDataFrame(rows, ddl)}, frozenset({"omop"})).collect()
    assert {(landed[r["record_id"] - 1], r["state"]) for r in found} == {
        (("5", "A", "2"), "duplicate"), (("5", "B", "1"), "superseded"), (("6", "C", "1"), "duplicate"), (("6", "C", "2"), "duplicate"),
    }  # fmt: skip
    assert len(found) == 4  # of the two that are equal one counts


def test_what_would_stop_a_run_quarantines_a_row_that_came_as_it_is():
    ours, theirs = OBSERVATION_PERIOD, as_brought(OBSERVATION_PERIOD)
    assert "end_not_before_start" not in ours.reasons()
    assert "end_not_before_start" in theirs.reasons()
    assert {"_source", "_kind", "_record", "_file"} <= set(theirs.columns)


def test_each_person_is_linked_to_itself(spark: SparkSession):
    persons: DataFrame = frame(
        spark, PERSON,
        {"person_id": 7, "gender_concept_id": 8507, "year_of_birth": 1960, "race_concept_id": 0, "ethnicity_concept_id": 0,
         "_source": "omop", "_record": 1},
    )  # fmt: skip
    (row,) = person_link().transform(persons=persons).collect()
    assert (row["source"], row["source_person_id"], row["person_id"], row["rule"]) == ("omop", "7", 7, "self")
