"""The report page from hand-made facts: no Spark, no lake."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from carelake.report.facts import Facts, GateFacts, ModelFacts
from carelake.report.page import page

EMPTY = Facts(
    run_id="", published_at="", as_of="2024-09-01", synthetic=False, files=[], ledger=[], reasons=[], links=[], tables=[],
    checks=[], coverage=[], unmapped=[], worklist=[], scored=0,
)  # fmt: skip
MODEL = ModelFacts(
    name="acute_care_1y",
    version="3",
    target="An emergency visit",
    approved=False,
    metrics={"auroc": 0.4649, "auroc_lower": 0.2517, "auroc_upper": 0.7580, "test_events": 11.0},
    gates=[
        GateFacts("enough_events", "test_events at least 20", 11.0, False),
        GateFacts("no_drift", "drift at most 1", None, False),
        GateFacts("any_rows", "test_rows at least 1", 90.0, True),
    ],
    plots={"pr": b"two", "roc": b"one"},
    card="# Card",
)


def ledger(source: str, kind: str, stage: str, rows_in: int, **outcomes: int) -> dict[str, object]:
    counts = dict.fromkeys(("written", "duplicate", "superseded", "excluded", "quarantined"), 0) | outcomes
    return {"source": source, "kind": kind, "stage": stage, "rows_in": rows_in} | {
        f"rows_{k}": v for k, v in counts.items()
    }


def checks(severity: str, status: str, count: int, **what: object) -> dict[str, object]:
    blank = dict.fromkeys(
        (
            "check_name",
            "table_name",
            "field_name",
            "concept_id",
            "rows_violating",
            "rows_checked",
            "threshold",
        )
    )
    return blank | {"severity": severity, "status": status, "count": count} | what


FULL = replace(
    EMPTY,
    run_id="run-7",
    synthetic=True,
    files=[{"source": "ehr", "format": "fhir", "status": "landed", "files": 2, "bytes": 1_500_000, "units": 1234}],
    ledger=[
        ledger("claims", "carrier", "bronze", 10, written=10),
        ledger("ehr", "Patient", "bronze", 5, written=5),
        ledger("ehr", "Patient", "conformed", 5, written=3, quarantined=1, excluded=1),
    ],
    reasons=[
        {"source": "ehr", "kind": "Patient", "stage": "conformed", "severity": "quarantined", "reason": "R_DATE",
         "rule": "birth_in_future", "records": 1},
        {"source": "ehr", "kind": "ExplanationOfBenefit", "stage": "conformed", "severity": "excluded", "reason": None,
         "rule": "kind_not_mapped", "records": 200},
    ],
    links=[{"source": "claims", "rule": "name_birth_sex_zip", "count": 45}],
    tables=[
        {"table": "silver/omop/person", "rows": 93, "vocabulary": False},
        {"table": "silver/omop/concept", "rows": 14780, "vocabulary": True},
    ],
    checks=[
        checks("characterization", "fail", 1, check_name="plausibleValueHigh", table_name="silver/omop/measurement",
               field_name="unit_concept_id", concept_id=3004410, rows_violating=7, rows_checked=90, threshold=0.05),
        checks("characterization", "pass", 1800),
        checks("fatal", "pass", 200),
        checks("fatal", "not_applicable", 12),
        checks("drift", "warn", 1, check_name="row_count", table_name="silver/omop/note", rows_violating=0, rows_checked=0),
    ],
    coverage=[
        {"source": "claims", "vocabulary_id": "ICD10CM", "domain_id": "Condition", "n_rows": 60, "n_rows_mapped": 60,
         "n_codes": 4, "n_codes_mapped": 4},
        {"source": "ehr", "vocabulary_id": "ICD10CM", "domain_id": "Procedure", "n_rows": 40, "n_rows_mapped": 15,
         "n_codes": 2, "n_codes_mapped": 1},
        {"source": "ehr", "vocabulary_id": "LOINC", "domain_id": "Measurement", "n_rows": 9000, "n_rows_mapped": 8999,
         "n_codes": 2, "n_codes_mapped": 1},
    ],
    unmapped=[
        {"rank": n, "source": "ehr", "vocabulary_id": "SNOMED", "code": f"code{n}", "source_text": "words", "domain_id": "Device",
         "n_rows": 100 - n}
        for n in range(1, 13)
    ],
    worklist=[
        {"model": "acute_care_1y", "rank": 1, "person_id": 42, "score": 0.9998, "reasons": ["more visits", "age"],
         "last_visit_date": "2024-08-25", "next_step": "Call", "notice": "Not approved: do not act on it."},
        {"model": "acute_care_1y", "rank": 2, "person_id": 43, "score": 0.25, "reasons": None,
         "last_visit_date": None, "next_step": "Wait", "notice": "Not approved: do not act on it."},
    ],
    scored=78,
    models=[MODEL],
)  # fmt: skip


class _Shape(HTMLParser):
    """Open tags, and every attribute by which a page can fetch or lead somewhere."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.places: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.places += [
            v or "" for k, v in attrs if k in ("src", "href", "srcset", "action", "data", "poster")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shape(text: str) -> _Shape:
    parsed = _Shape()
    parsed.feed(text)
    return parsed


def words(text: str) -> str:
    """What a reader sees: no tags, no style, single blanks."""
    bare = re.sub(r"<style>.*?</style>", " ", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", bare).split())


@pytest.mark.parametrize("facts", [EMPTY, FULL], ids=["empty", "full"])
def test_page_is_well_formed_and_fetches_nothing(facts: Facts) -> None:
    text = page(facts)
    parsed = shape(text)
    assert parsed.open == []
    assert all(p.startswith(("#", "data:image/png;base64,")) for p in parsed.places)
    assert not parsed.tags & {"script", "link", "iframe", "object", "form"}
    assert "@import" not in text
    assert "url(" not in text


def test_anchors_of_the_header_lead_to_sections() -> None:
    text = page(EMPTY)
    wanted = {p[1:] for p in shape(text).places if p.startswith("#")}
    assert wanted == set(re.findall(r'<section id="([^"]+)"', text))


def test_empty_lake_says_that_nothing_is_there() -> None:
    text = words(page(EMPTY))
    for sentence in ("Nothing was landed yet.", "No record was refused.", "Nobody was linked yet.", "No coded event yet.", "No check was made yet.", "Every check that applies holds.",
                     "No model has been trained yet.", "Nobody was scored."):  # fmt: skip
        assert sentence in text
    assert "synthetic" not in text


def test_values_are_escaped() -> None:
    evil = '<script>alert("x")</script>'
    text = page(
        replace(
            FULL,
            run_id=evil,
            unmapped=[FULL.unmapped[0] | {"source_text": evil, "code": evil, "vocabulary_id": evil}],
            worklist=[FULL.worklist[0] | {"reasons": [evil], "next_step": evil, "notice": evil}],
            coverage=[FULL.coverage[0] | {"vocabulary_id": evil}],
            models=[replace(MODEL, name=evil, card=evil, target=evil, plots={evil: b"x"})],
        )
    )
    assert "<script" not in text
    assert 'alert("x")' not in text
    assert text.count("&lt;script&gt;") >= 10


def test_a_version_that_is_not_approved_is_called_so_at_the_top_in_the_model_and_over_the_worklist() -> None:
    text = page(FULL)
    head, rest = text.split("</header>")
    model, worklist = rest.split('id="worklist"')
    assert "is not approved : it failed 2 of its 3 gates" in words(head)
    assert "Not approved. This version has not passed its gates" in words(model)
    assert "Not approved: do not act on it." in words(worklist)


def test_an_approved_version_is_called_approved_and_nothing_warns() -> None:
    good = replace(MODEL, approved=True, gates=[GateFacts("any", "rows at least 1", 3.0, True)])
    text = page(
        replace(FULL, synthetic=False, models=[good], worklist=[r | {"notice": None} for r in FULL.worklist])
    )
    assert "Approved: every gate holds." in text
    assert "not approved" not in text.lower()
    assert 'class="notice"' not in text


def test_synthetic_population_is_called_synthetic() -> None:
    assert "The population is synthetic (Synthea)" in words(page(FULL))


def test_tiles_count_people_records_and_outcomes() -> None:
    found = re.findall(r"<div><b>([^<]*)</b><span>([^<]*)</span></div>", page(FULL))
    tiles = {name: value for value, name in found}
    assert tiles == {
        "people": "93",
        "records landed": "1,234",
        "records left out by a rule": "1",
        "records quarantined": "1",
        "of events have a standard concept": "99.7 %",
        "people scored": "78",
    }


def test_quality_counts_the_checks_by_severity_and_lists_what_does_not_hold() -> None:
    text = words(page(FULL).split('id="quality"')[1].split("</section>")[0])
    assert "2,000 of 2,002 checks that apply hold" in text
    assert "fatal 200 0 0 0 12 characterization 1,800 0 1 0 0 drift 0 1 0 0 0" in text
    assert "fail characterization plausibleValueHigh measurement.unit_concept_id.3004410 7 90 5 %" in text
    assert "warn drift row_count note 0 0" in text


def test_ledger_is_one_closed_group_per_sender() -> None:
    text = page(FULL)
    seen = words(text)
    assert "claims : 1 kind of record, 10 last landed, 0 left out by a rule, 0 quarantined" in seen
    assert "ehr : 1 kind of record, 5 last landed, 1 left out by a rule, 1 quarantined" in seen
    assert "<details open" not in text
    assert "all 3 lines balance" in text


def test_a_ledger_that_does_not_balance_is_said_to() -> None:
    text = page(replace(FULL, ledger=[*FULL.ledger, ledger("ehr", "Note", "bronze", 5, written=4)]))
    assert "1 of 4 lines do NOT balance" in text


def test_refused_and_left_out_records_stand_apart_with_their_reason() -> None:
    text = words(page(FULL))
    refused, left_out = text.split("Left out by a rule", 1)
    assert "R_DATE birth_in_future" in refused
    assert "kind_not_mapped kept in bronze as sent; carelake does not map this kind yet 200" in left_out
    assert "200 ExplanationOfBenefit records landed and are not mapped yet" in left_out


def test_mapped_share_is_shown_by_vocabulary_and_is_never_rounded_to_all() -> None:
    text = words(page(FULL))
    assert "ICD10CM claims, ehr 100 75 %" in text
    assert "LOINC ehr 9,000 99.9 %" in text


def test_plots_come_in_reading_order_with_a_caption() -> None:
    text = page(FULL)
    assert [p for p in shape(text).places if p.startswith("data:")] == [
        "data:image/png;base64,b25l",
        "data:image/png;base64,dHdv",
    ]
    assert "ROC curve" in text


def test_metrics_show_their_interval_and_gates_their_value() -> None:
    text = words(page(FULL))
    assert "AUROC 0.465 0.252 to 0.758" in text
    assert "enough events test_events at least 20 11 fails" in text
    assert "no drift drift at most 1 n/a fails" in text


def test_worklist_shows_reasons_and_no_score_as_a_certainty() -> None:
    text = page(FULL)
    assert "<li>more visits</li><li>age</li>" in text
    assert "&gt; 0.999" in text
    assert "0.250" in text


def test_worklist_names_the_model_when_there_are_several() -> None:
    other = FULL.worklist[1] | {"model": "readmission"}
    assert "<th>model</th>" not in page(FULL)
    assert "<th>model</th>" in page(replace(FULL, worklist=[FULL.worklist[0], other]))


def test_only_the_first_ten_unmapped_codes_are_open() -> None:
    before, after = page(FULL).split("<summary>2 more</summary>")
    assert "code10" in before
    assert "code11" in after


def test_what_is_watched_of_a_model_is_shown_and_a_new_training_is_proposed_once() -> None:
    seen = {"model": "acute_care_1y", "model_version": "3", "subject": "score", "index_date": "2024-09-01", "rows": 85, "psi": 0.3141,
            "observed_expected": None, "observed_expected_lower": None, "observed_expected_upper": None, "status": "alarm",
            "reason": "the score moved"}  # fmt: skip
    outcome = seen | {"subject": "outcome", "index_date": "2023-09-01", "psi": None, "observed_expected": 1.254,
                      "observed_expected_lower": 0.9, "observed_expected_upper": 1.7, "status": "ok"}  # fmt: skip
    text = page(replace(FULL, monitor=[seen, outcome]))
    assert text.count("A new training is proposed.") == 1
    assert "acute_care_1y: the score moved." in text
    assert "<b>alarm</b>" in text
    assert "0.314" in text
    assert "1.25 (0.900 to 1.700)" in text
    assert "Nothing has been scored." in page(EMPTY)
