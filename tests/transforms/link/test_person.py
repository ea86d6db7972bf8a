"""Person linkage on small tables: who is joined, who must never be, and why."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from carelake.silver.conformed.enrollment import ENROLLMENT
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.person import person
from carelake.silver.link.tables import PERSON_LINK
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SENDERS = tuple(
    {"name": n, "priority": p, "time_zone": "UTC", "type_concept_id": 32817}
    for n, p in (("claims", 2), ("ehr", 1), ("lab", 3), ("watch", 0))
)
SSN, MBI = "http://hl7.org/fhir/sid/us-ssn", "http://hl7.org/fhir/sid/us-mbi"


def record(source: str, key: str, **facts: Any) -> dict[str, Any]:
    """A patient record; without facts it is Ann Lee, female, 1950-02-03, ZIP 01840."""
    base = {
        "family_name": "Lee",
        "given_name": "Ann",
        "birth_date": "1950-02-03",
        "sex": "female",
        "zip": "01840",
    }
    return {"_source": source, "source_person_id": key, "is_latest": True} | base | facts


def ids(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"system": s, "value": v} for s, v in pairs]


def account(
    key: str, source: str, patient: str, start: str | None = None, end: str | None = None
) -> dict[str, Any]:
    return {
        "account_source": "watch", "account_id": key, "person_source": source, "source_person_id": patient,
        "start_date": start, "end_date": end,
    }  # fmt: skip


def linked(spark: SparkSession, *patients: dict[str, Any], enrolled: tuple[dict[str, Any], ...] = ()) -> Any:
    return PERSON_LINK.conform(
        person(frame(spark, PATIENT, *patients), frame(spark, ENROLLMENT, *enrolled), SENDERS)
    )


def groups(
    spark: SparkSession, *patients: dict[str, Any], enrolled: tuple[dict[str, Any], ...] = ()
) -> list[list[str]]:
    """The persons as sorted lists of `source/id`."""
    found = defaultdict(list)
    for source, key, person_id in rows(
        linked(spark, *patients, enrolled=enrolled), "source", "source_person_id", "person_id"
    ):
        found[person_id].append(f"{source}/{key}")
    return sorted(sorted(g) for g in found.values())


def test_records_of_two_senders_with_equal_names_birth_sex_and_zip_are_one_person_named_after_the_first(
    spark: SparkSession,
) -> None:
    out = linked(
        spark,
        record("claims", "-1"),
        record("ehr", "z", family_name="LEE ", given_name="Ánn", zip="01840-1234"),
    )
    table = rows(
        out, "source", "source_person_id", "rule", "score", "linked_source", "linked_source_person_id"
    )
    assert table == [
        ("claims", "-1", "name_birth_sex_zip", 1.0, "ehr", "z"),
        ("ehr", "z", "self", 1.0, None, None),
    ]
    expected = spark.sql("SELECT xxhash64('person', 'ehr', 'z') & 9223372036854775807L").first()
    assert expected is not None
    assert {r[0] for r in rows(out, "person_id")} == {expected[0]}


def test_each_of_the_five_facts_must_agree(spark: SparkSession) -> None:
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("family", {"family_name": "Leigh"}), ("given", {"given_name": "Anna"}), ("birth", {"birth_date": "1950-02-04"}),
        ("sex", {"sex": "male"}), ("zip", {"zip": "01841"}), ("no_family", {"family_name": None}),
        ("no_given", {"given_name": " - "}), ("no_birth", {"birth_date": None}), ("unknown_sex", {"sex": "unknown"}),
        ("no_zip", {"zip": None}), ("part_of_zip", {"zip": "0184"}),
    )  # fmt: skip
    found = groups(spark, record("ehr", "1"), *[record("claims", n, **f) for n, f in wrong])
    assert ["ehr/1"] in found
    assert len(found) == 12


def test_names_match_across_accents_case_blanks_and_punctuation(spark: SparkSession) -> None:
    found = groups(
        spark,
        record("ehr", "1", family_name="O'Brien-Müller", given_name="José"),
        record("claims", "2", family_name="OBRIEN MULLER", given_name="JOSE"),
        record("lab", "3", family_name="o\u2019brien mu\u0308ller", given_name="jose\u0301"),
        record("ehr", "4", family_name="Groß", given_name="Øystein"),
        record("claims", "5", family_name="GROSS", given_name="OYSTEIN"),
    )
    assert found == [["claims/2", "ehr/1", "lab/3"], ["claims/5", "ehr/4"]]


def test_twins_stay_two_and_each_finds_the_own_claims_record(spark: SparkSession) -> None:
    found = groups(
        spark, record("ehr", "1"), record("ehr", "2", given_name="Eve"),
        record("claims", "a"), record("claims", "b", given_name="Eve"),
    )  # fmt: skip
    assert found == [["claims/a", "ehr/1"], ["claims/b", "ehr/2"]]


def test_two_records_of_one_sender_never_link_by_name_and_their_shared_key_links_nobody_else(
    spark: SparkSession,
) -> None:
    found = groups(spark, record("ehr", "1"), record("ehr", "2"), record("claims", "a"), record("lab", "x"))
    assert found == [["claims/a"], ["ehr/1"], ["ehr/2"], ["lab/x"]]


def test_a_person_who_moves_or_marries_links_by_any_version_or_year(spark: SparkSession) -> None:
    found = groups(
        spark,
        record("ehr", "1", zip="02139"),
        record("claims", "a", period="2015", zip="99501"), record("claims", "a", period="2016", zip="02139"),
        record("ehr", "2", given_name="Eve", family_name="Roe", is_latest=True),
        record("ehr", "2", given_name="Eve", family_name="Lee", is_latest=False),
        record("claims", "b", given_name="Eve"),
    )  # fmt: skip
    assert found == [["claims/a", "ehr/1"], ["claims/b", "ehr/2"]]


def test_years_that_fit_two_people_of_one_sender_link_neither(spark: SparkSession) -> None:
    found = groups(
        spark,
        record("ehr", "1", zip="02139"), record("ehr", "2", zip="02140"),
        record("claims", "a", period="2015", zip="02139"), record("claims", "a", period="2016", zip="02140"),
    )  # fmt: skip
    assert found == [["claims/a"], ["ehr/1"], ["ehr/2"]]


def test_a_chain_through_three_senders_that_would_join_two_people_is_taken_apart(spark: SparkSession) -> None:
    found = groups(
        spark,
        record("ehr", "1", zip="02139"),
        record("claims", "a", zip="02139", period="1"), record("claims", "a", zip="02140", period="2"),
        record("lab", "x", zip="02140", period="1"), record("lab", "x", zip="02141", period="2"),
        record("ehr", "2", zip="02141"),
        record("claims", "b", given_name="Eve"), record("ehr", "3", given_name="Eve"),
    )  # fmt: skip
    assert found == [["claims/a"], ["claims/b", "ehr/3"], ["ehr/1"], ["ehr/2"], ["lab/x"]]


def test_strong_identifiers_link_whatever_the_name_and_how_the_system_is_spelt(spark: SparkSession) -> None:
    found = groups(
        spark,
        record("ehr", "1", identifiers=ids((SSN, "999-57-4206"))),
        record(
            "claims", "a", family_name="X", identifiers=ids(("urn:oid:2.16.840.1.113883.4.1", "999574206"))
        ),
        record(
            "lab",
            "x",
            family_name="Y",
            birth_date=None,
            sex=None,
            zip=None,
            identifiers=ids((SSN, "999 57 4206")),
        ),
    )
    assert found == [["claims/a", "ehr/1", "lab/x"]]


def test_an_identifier_with_a_contradicting_birth_date_or_sex_links_nobody(spark: SparkSession) -> None:
    found = groups(
        spark,
        record("ehr", "1", identifiers=ids((SSN, "999-57-4206"))),
        record(
            "claims", "a", family_name="X", birth_date="1951-02-03", identifiers=ids((SSN, "999-57-4206"))
        ),
        record("lab", "x", family_name="Y", sex="male", identifiers=ids((SSN, "999-57-4206"))),
    )
    assert found == [["claims/a"], ["ehr/1"], ["lab/x"]]


def test_a_record_without_birth_date_never_bridges_two_that_contradict(spark: SparkSession) -> None:
    found = groups(
        spark,
        record("ehr", "1", identifiers=ids((SSN, "999-57-4206"))),
        record(
            "claims",
            "a",
            family_name="X",
            birth_date=None,
            identifiers=ids((SSN, "999-57-4206"), (MBI, "1S00E00AA00")),
        ),
        record("lab", "x", family_name="Y", birth_date="1960-01-01", identifiers=ids((MBI, "1S00E00AA00"))),
    )
    assert found == [["claims/a"], ["ehr/1"], ["lab/x"]]


def test_placeholders_and_internal_ids_are_no_identifiers(spark: SparkSession) -> None:
    placeholders = ("999-99-9999", "000-00-0000", "123-45-6789", "999-00-4206", "999-57-0000", "12", "")
    found = groups(
        spark,
        *[
            record("ehr", f"p{n}", family_name="X", identifiers=ids((SSN, v)))
            for n, v in enumerate(placeholders)
        ],
        *[
            record("claims", f"p{n}", family_name="Y", identifiers=ids((SSN, v)))
            for n, v in enumerate(placeholders)
        ],
        record("ehr", "1", identifiers=ids(("urn:internal", "ABC12345"))),
        record("claims", "1", family_name="Z", identifiers=ids(("urn:internal", "ABC12345"))),
    )
    assert len(found) == 2 * len(placeholders) + 2


def test_two_records_of_one_sender_are_one_person_only_by_an_identifier_and_agreeing_facts(
    spark: SparkSession,
) -> None:
    found = groups(
        spark,
        record("ehr", "1", identifiers=ids((SSN, "999-57-4206"))),
        record("ehr", "2", family_name="Roe", zip="02139", identifiers=ids((SSN, "999-57-4206"))),
        record(
            "ehr", "3", given_name="Eve", identifiers=ids((SSN, "999-57-4206"))
        ),  # a twin under the same number
        record("ehr", "4", birth_date=None, identifiers=ids((SSN, "999-57-4206"))),
        record("claims", "a"),
    )
    assert found == [["claims/a", "ehr/1", "ehr/2"], ["ehr/3"], ["ehr/4"]]


def test_two_senders_that_both_own_patient_1_do_not_meet(spark: SparkSession) -> None:
    assert groups(spark, record("ehr", "1"), record("lab", "1", given_name="Bob", sex="male")) == [
        ["ehr/1"],
        ["lab/1"],
    ]


def test_an_account_joins_the_person_of_its_patient_and_never_names_the_person(spark: SparkSession) -> None:
    enrolled = (account("w1", "claims", "a"), account("w2", "ehr", "1"), account("w3", "ehr", "missing"))
    out = linked(spark, record("ehr", "1"), record("claims", "a"), enrolled=enrolled)
    assert rows(out, "source", "source_person_id", "rule", "linked_source", "linked_source_person_id") == [
        ("claims", "a", "name_birth_sex_zip", "ehr", "1"),
        ("ehr", "1", "self", None, None),
        ("watch", "w1", "enrollment", "claims", "a"),
        ("watch", "w2", "enrollment", "ehr", "1"),
    ]
    assert len({r[0] for r in rows(out, "person_id")}) == 1


def test_an_account_enrolled_at_two_senders_joins_their_patients_unless_it_was_handed_on(
    spark: SparkSession,
) -> None:
    one, other = record("ehr", "1"), record("claims", "a", family_name="X")
    together = (account("w", "ehr", "1", "2015-01-01", None), account("w", "claims", "a", "2016-01-01", None))
    assert groups(spark, one, other, enrolled=together) == [["claims/a", "ehr/1", "watch/w"]]
    handed_on = (
        account("w", "ehr", "1", None, "2015-12-31"),
        account("w", "claims", "a", "2016-01-01", None),
    )
    assert groups(spark, one, other, enrolled=handed_on) == [["claims/a"], ["ehr/1"]]


def test_an_account_of_two_people_of_one_sender_or_of_contradicting_people_waits(spark: SparkSession) -> None:
    enrolled = (
        account("w", "ehr", "1"), account("w", "ehr", "2"),
        account("v", "ehr", "3"), account("v", "claims", "a"),
    )  # fmt: skip
    found = groups(
        spark, record("ehr", "1"), record("ehr", "2", given_name="Eve"), record("ehr", "3", given_name="Sue"),
        record("claims", "a", given_name="Sue", birth_date="1951-01-01"), enrolled=enrolled,
    )  # fmt: skip
    assert found == [["claims/a"], ["ehr/1"], ["ehr/2"], ["ehr/3"]]


def test_the_order_of_arrival_changes_nothing(spark: SparkSession) -> None:
    patients = [
        record("claims", "a", period="2015", zip="99501"), record("claims", "a", period="2016"), record("ehr", "1"),
        record("lab", "x", family_name="Roe", identifiers=ids((SSN, "999-57-4206"))),
        record("ehr", "1", is_latest=False, identifiers=ids((SSN, "999-57-4206"))),
        record("ehr", "2", given_name="Eve"), record("claims", "b", given_name="Eve"),
    ]  # fmt: skip
    enrolled = (account("w", "claims", "a"),)
    assert rows(linked(spark, *patients, enrolled=enrolled)) == rows(
        linked(spark, *patients[::-1], enrolled=enrolled)
    )
