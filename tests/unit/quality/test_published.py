"""OHDSI's lists as rules, a site's exceptions over them."""

from __future__ import annotations

from collections import Counter

import pytest

from carelake.core.config import Exemption, Quality, Threshold, load
from carelake.errors import ConfigError
from carelake.quality.published import all_rules, asks, check_types, rules

REQUIRED = "field_isrequired_person_person_id"


def test_the_lists_have_27_check_types_and_ask_for_2535_checks_of_different_ids():
    assert len(check_types()) == 27
    assert len(all_rules()) == len({r.id for r in all_rules()}) == 2535
    # by hand from the lists: rows whose column of the check's name says so
    some = {
        "cdmTable": 39,
        "isPrimaryKey": 28,
        "isRequired": 180,
        "fkClass": 3,
        "plausibleUnitConceptIds": 181,
        "cdmDatatype": 210,
    }
    counted = Counter(r.name for r in all_rules())
    assert {name: counted[name] for name in some} == some


def test_a_filter_asks_for_rows_that_meet_all_its_terms():
    row = {"isForeignKey": "Yes", "fkDomain": "Drug"}
    assert asks(row, "isForeignKey=='Yes' & fkDomain!= ''")
    assert not asks(row | {"fkDomain": ""}, "isForeignKey=='Yes' & fkDomain!= ''")
    assert not asks(row | {"isForeignKey": "No"}, "isForeignKey=='Yes' & fkDomain!= ''")


def test_a_rule_has_the_dashboards_id_threshold_and_words():
    found = {r.id: r for r in all_rules()}
    rule = found["field_standardconceptrecordcompleteness_condition_occurrence_condition_concept_id"]
    assert (rule.threshold, rule.type.severity, rule.type.category) == (5.0, "convention", "Completeness")
    assert rule.description == (
        "The number and percent of records with a value of 0 in the standard concept field CONDITION_CONCEPT_ID "
        "in the CONDITION_OCCURRENCE table."
    )
    below = next(r for r in all_rules() if r.name == "plausibleGenderUseDescendants")
    assert below.id.endswith("_4090861,4025213")
    assert below.concepts == (4090861, 4025213)


def test_a_site_leaves_tables_out_and_sets_thresholds_with_their_reasons():
    own = Threshold("isRequired", "PERSON", 3, "we know", field="PERSON_ID")
    found = {r.id: r for r in rules(Quality({"NOTE": "none here"}, (own,)))}
    assert not any(r.table == "note" for r in found.values())
    assert (found[REQUIRED].threshold, found[REQUIRED].note) == (3, "we know")


def test_a_threshold_for_one_vocabulary_holds_for_no_other():
    own = Threshold("isRequired", "PERSON", 3, "small", field="PERSON_ID", vocabulary="carelake open subset")
    site = Quality(thresholds=(own,))
    told = [
        next(r for r in rules(site, v) if r.id == REQUIRED).threshold
        for v in ("carelake open subset", "v5.0 29-FEB-24", "")
    ]
    assert told == [3, 0, 0]


@pytest.mark.parametrize(
    ("site", "says"),
    [
        (Quality({"PATIENT": "x"}), "PATIENT, which is no table"),
        (
            Quality(thresholds=(Threshold("isRequired", "PERSON", 1, "x", field="NAME"),)),
            "no check isRequired of PERSON.NAME",
        ),
        (
            Quality(exempt=(Exemption("fkDomain", "PERSON", "PERSON_ID", 1, "x"),)),
            "no check fkDomain of PERSON.PERSON_ID",
        ),
    ],
)
def test_an_exception_for_what_is_no_check_is_refused(site: Quality, says: str):
    with pytest.raises(ConfigError, match=says):
        rules(site)


def test_the_shipped_exceptions_name_checks_and_no_table_that_is_written():
    from carelake.catalog import catalog

    site = load("local").quality
    assert rules(site, "carelake open subset")
    written = {
        n.removeprefix("silver/omop/").upper() for n in catalog().declared if n.startswith("silver/omop/")
    }
    by_default = {"CONCEPT", "VOCABULARY", "CONCEPT_ANCESTOR", "CONCEPT_RELATIONSHIP", "CONCEPT_CLASS", "CONCEPT_SYNONYM",
                  "RELATIONSHIP", "DOMAIN"}  # fmt: skip
    assert set(site.exclude_tables) & written == by_default, "a table that is written now has to be checked"
    assert all(t.reason and 0 <= t.percent <= 100 for t in site.thresholds)
