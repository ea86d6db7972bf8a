"""The bundled population from its raw files: who is who, what was paid, how much is mapped, and whether the keys hold."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

import pytest

from carelake.catalog import catalog
from tests.helpers.books import counted, handed_on, read, tables, unbalanced
from tests.helpers.cli import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

SAMPLE = ROOT / "sample"
# Paid by Medicare per type of claim, each claim once, summed from the raw files by other means than this code.
PAID = {
    "inpatient": "1485569.16", "outpatient": "2313268.06", "professional": "582511.31", "skilled_nursing": "111080.08",
    "hospice": "73311.12", "home_health": "34518.27", "equipment": "940.25",
}  # fmt: skip
DRUGS_CHARGED = "137538.29"  # PDE TOT_RX_CST_AMT
# Share of coded records that reach a standard concept with the bundled vocabulary; what it gave before this code was written.
COVERAGE = {
    "Condition": 0.65, "Procedure": 0.61, "MedicationRequest": 0.88, "MedicationAdministration": 0.85,
    "Immunization": 0.89, "Observation": 0.98, "pde": 0.91,
}  # fmt: skip


def resources(kind):
    with gzip.open(SAMPLE / "fhir" / f"{kind}.ndjson.gz", "rt", encoding="utf-8") as text:
        return [json.loads(line) for line in text]


def rif(name):
    with gzip.open(SAMPLE / "cms_rif" / f"{name}.csv.gz", "rt", encoding="utf-8") as text:
        return list(csv.DictReader(text, delimiter="|"))


def day(text):
    return datetime.strptime(text, "%d-%b-%Y").date().isoformat()  # noqa: DTZ007 - a day has no zone


@pytest.fixture(scope="module")
def beneficiaries():
    """Birth date, sex, date of death by BENE_ID, from the yearly files."""
    found = {}
    for path in sorted((SAMPLE / "cms_rif").glob("beneficiary_*.csv.gz")):
        for r in rif(path.name.removesuffix(".csv.gz")):
            died = day(r["DEATH_DT"]) if r["DEATH_DT"].strip() else found.get(r["BENE_ID"], (0, 0, None))[2]
            found[r["BENE_ID"]] = (
                day(r["BENE_BIRTH_DT"]),
                {"1": "male", "2": "female"}[r["BENE_SEX_IDENT_CD"]],
                died,
            )
    return found


@pytest.fixture(scope="module")
def pairs(sample_lake):
    """FHIR patient by beneficiary, as linked."""
    people = defaultdict(dict)
    for r in sample_lake.rows("silver/link/person"):
        assert r["source"] not in people[r["person_id"]], "two records of one sender are one person"
        people[r["person_id"]][r["source"]] = r["source_person_id"]
    return {m["cms_rif"]: m["fhir"] for m in people.values() if {"cms_rif", "fhir"} <= set(m)}


def test_there_are_ninety_three_persons(sample_lake):
    persons = sample_lake.rows("silver/omop/person", ["person_id"])
    assert len(persons) == len({r["person_id"] for r in persons}) == 93
    assert sample_lake.note["persons_affected"] == 93
    by_sender = Counter(r["source"] for r in sample_lake.rows("silver/link/person"))
    assert by_sender == {"fhir": 93, "cms_rif": 45, "fitbit": 24}


def test_each_beneficiary_is_one_patient_of_the_same_birth_sex_and_death(pairs, beneficiaries):
    assert len(beneficiaries) == 45
    assert set(pairs) == set(beneficiaries)
    assert len(set(pairs.values())) == 45
    patients = {p["id"]: p for p in resources("Patient")}
    for bene, ident in pairs.items():
        p = patients[ident]
        assert (p["birthDate"], p["gender"], p.get("deceasedDateTime", "")[:10] or None) == beneficiaries[
            bene
        ]


def test_each_death_is_told_once(sample_lake):
    died = {p["id"] for p in resources("Patient") if "deceasedDateTime" in p}
    people = {
        r["source_person_id"]: r["person_id"]
        for r in sample_lake.rows("silver/link/person")
        if r["source"] == "fhir"
    }
    deaths = [r["person_id"] for r in sample_lake.rows("silver/omop/death", ["person_id"])]
    assert sorted(deaths) == sorted(people[i] for i in died)


@pytest.mark.omop_rule(14)
def test_payments_tie_out_to_the_cent(sample_lake):
    """CDM v5.4 COST: the sum of the rows is what the source paid."""
    claims = sample_lake.rows("silver/conformed/claim", ["claim_type", "paid_by_payer", "charge"])
    paid = defaultdict(Decimal)
    for c in claims:
        paid[c["claim_type"]] += c["paid_by_payer"]
    drugs = sum((c["charge"] for c in claims if c["claim_type"] == "pharmacy"), Decimal(0))
    assert {k: str(v) for k, v in paid.items() if k != "pharmacy"} == PAID
    assert str(drugs) == DRUGS_CHARGED
    costs = sample_lake.rows("silver/omop/cost", ["paid_by_payer", "total_charge"])
    assert len(costs) == len(claims)
    cents = sum(round(c["paid_by_payer"] * 100) for c in costs)
    assert cents == sum(paid.values()) * 100
    assert sum(round(c["total_charge"] * 100) for c in costs) == sum(c["charge"] for c in claims) * 100


def test_the_amounts_are_those_of_the_raw_files(sample_lake):
    names = {"professional": "carrier", "skilled_nursing": "snf", "home_health": "hha", "equipment": "dme"}
    for kind, expected in PAID.items():
        once = {r["CLM_ID"]: Decimal(r["CLM_PMT_AMT"]) for r in rif(names.get(kind, kind))}
        assert str(sum(once.values())) == expected, kind
    assert str(sum(Decimal(r["TOT_RX_CST_AMT"]) for r in rif("pde"))) == DRUGS_CHARGED


def test_every_line_is_in_the_ledger_and_the_books_balance(sample_lake):
    ledger = {
        (r["source"], r["kind"]): r["rows_in"]
        for r in sample_lake.rows("ops/ledger")
        if r["stage"] == "bronze"
    }
    mine = Counter()
    for source in ("fhir", "cms_rif", "fitbit", "enrollment"):
        for kinds in counted(SAMPLE / source).values():
            mine.update({(source, kind): n for kind, n in kinds.items()})
    assert ledger == dict(mine)
    assert unbalanced(sample_lake.lake) == []
    quarantined = [r for r in sample_lake.rows("ops/quarantine") if r["severity"] == "quarantined"]
    assert quarantined == [], "the population is clean"


def test_each_stage_examines_what_the_stage_before_it_wrote(sample_lake):
    assert handed_on(sample_lake.lake, sample_lake.note["run_id"]) == []


def test_as_many_records_reach_a_standard_concept_as_the_vocabulary_allows(sample_lake):
    kinds = {
        r["_record"]: r["_kind"] for r in sample_lake.rows("silver/conformed/event", ["_record", "_kind"])
    }
    total, mapped = Counter(), Counter()
    for r in sample_lake.rows("silver/link/event", ["_record", "concept_id", "target_no"]):
        if r["target_no"] == 0:
            total[kinds[r["_record"]]] += 1
            mapped[kinds[r["_record"]]] += r["concept_id"] > 0
    shares = {k: mapped[k] / total[k] for k in COVERAGE}
    assert {k: (s, COVERAGE[k]) for k, s in shares.items() if s < COVERAGE[k]} == {}
    coverage = sample_lake.rows("gold/mapping_coverage")
    assert all(
        0 <= r["n_rows_mapped"] <= r["n_rows"] and r["n_codes_mapped"] <= r["n_codes"] for r in coverage
    )


def omop(sample_lake):
    return [n.rsplit("/", 1)[1] for n in tables(sample_lake.lake, "silver/omop")]


@pytest.mark.omop_rule(18, 19)
def test_each_fact_of_a_relationship_is_a_row_of_its_domains_table_and_the_reverse_is_told(sample_lake):
    """CDM v5.4 FACT_RELATIONSHIP: fact_id is the key of a row in the domain's table; each relationship is there twice."""
    tables_of = {
        19: "condition_occurrence", 10: "procedure_occurrence", 13: "drug_exposure", 17: "device_exposure",
        21: "measurement", 27: "observation",
    }  # fmt: skip
    keys = {
        (domain, r[f"{name}_id"])
        for domain, name in tables_of.items()
        for r in sample_lake.rows(f"silver/omop/{name}", [f"{name}_id"])
    }
    reverse = {581436: 581437, 581437: 581436, 44818792: 44818890, 44818890: 44818792}
    told = {
        (r["domain_concept_id_1"], r["fact_id_1"], r["domain_concept_id_2"], r["fact_id_2"], r["relationship_concept_id"])
        for r in sample_lake.rows("silver/omop/fact_relationship")
    }  # fmt: skip
    assert {r[4] for r in told} == set(reverse)
    assert {(d, f) for d, f, *_ in told} <= keys
    assert {(d2, f2, d1, f1, reverse[kind]) for d1, f1, d2, f2, kind in told} == told
    fields = {1147127: 19, 1147165: 27}
    events = sample_lake.rows("silver/omop/episode_event")
    assert events
    assert {(fields[r["episode_event_field_concept_id"]], r["event_id"]) for r in events} <= keys


@pytest.mark.omop_rule(3)
def test_each_person_has_observation_periods_that_neither_overlap_nor_touch(sample_lake):
    """CDM v5.4 OBSERVATION_PERIOD: at least one for each person; overlapping or adjacent ones are merged."""
    spans = defaultdict(list)
    for r in sample_lake.rows("silver/omop/observation_period"):
        spans[r["person_id"]].append((r["observation_period_start_date"], r["observation_period_end_date"]))
    assert set(spans) == {r["person_id"] for r in sample_lake.rows("silver/omop/person")}
    for found in spans.values():
        found.sort()
        assert all((later - end).days > 1 for (_, end), (later, _) in pairwise(found))


def test_every_table_of_the_cdm_has_rows_or_says_why_it_has_none(sample_lake):
    """37 of the 39 tables are in silver/omop; cohort and cohort_definition, of the results schema, are in gold."""
    there = {t.name: t for t in catalog().declared.values() if t.name.startswith("silver/omop/")}
    empty = {name for name in there if len(sample_lake.rows(name, [there[name].columns[0]])) == 0}
    assert len(there) == 37
    assert empty == {name for name, table in there.items() if table.empty_because}
    assert sample_lake.rows("gold/cohort")
    assert sample_lake.rows("gold/cohort_definition")


@pytest.mark.omop_rule(18)
def test_primary_keys_are_unique(sample_lake):
    """CDM v5.4, and DQD isPrimaryKey."""
    checked = []
    for name in omop(sample_lake):
        table = read(sample_lake.lake, f"silver/omop/{name}")
        key = "person_id" if name == "death" else f"{name}_id"
        if key not in table.column_names:
            continue
        values = table.column(key)
        assert values.null_count == 0, name
        assert len(set(values.to_pylist())) == len(values), name
        checked.append(name)
    assert len(checked) >= 20


@pytest.mark.omop_rule(18)
@pytest.mark.parametrize(
    ("column", "target"),
    [
        ("person_id", "person"),
        ("visit_occurrence_id", "visit_occurrence"),
        ("preceding_visit_occurrence_id", "visit_occurrence"),
        ("visit_detail_id", "visit_detail"),
        ("parent_visit_detail_id", "visit_detail"),
        ("provider_id", "provider"),
        ("care_site_id", "care_site"),
        ("location_id", "location"),
        ("payer_plan_period_id", "payer_plan_period"),
        ("episode_id", "episode"),
    ],
)
def test_foreign_keys_lead_somewhere(sample_lake, column, target):
    """CDM v5.4, and DQD isForeignKey."""
    key = f"{target}_id"
    there = set(read(sample_lake.lake, f"silver/omop/{target}", [key]).column(key).to_pylist())
    pointing = 0
    for name in omop(sample_lake):
        table = read(sample_lake.lake, f"silver/omop/{name}")
        if column in table.column_names and (name, column) != (target, key):
            values = {v for v in table.column(column).to_pylist() if v is not None}
            assert values <= there, name
            pointing += len(values)
            if column == "person_id":
                assert table.column(column).null_count == 0, name
    assert pointing > 0


def test_a_visit_belongs_to_the_person_of_its_events(sample_lake):
    owner = {
        r["visit_occurrence_id"]: r["person_id"]
        for r in sample_lake.rows("silver/omop/visit_occurrence", ["visit_occurrence_id", "person_id"])
    }
    for name in omop(sample_lake):
        columns = read(sample_lake.lake, f"silver/omop/{name}").column_names
        if {"visit_occurrence_id", "person_id"} <= set(columns):
            rows = sample_lake.rows(f"silver/omop/{name}", ["visit_occurrence_id", "person_id"])
            assert all(
                owner[r["visit_occurrence_id"]] == r["person_id"] for r in rows if r["visit_occurrence_id"]
            ), name
