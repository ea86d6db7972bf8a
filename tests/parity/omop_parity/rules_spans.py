"""Causes of differences in periods, eras and costs. See rules.py."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from .compare import RowRule
from .facts import day
from .rules import differs, next_day

if TYPE_CHECKING:
    from .facts import Facts, Text
    from .read import Row

SILENT_DAYS = 548
AFTER_DAYS = 60


# --- observation_period -----------------------------------------------------------------------------------------------------


def spans_seen(person: str, facts: Facts) -> list[tuple[date, date]]:
    """Encounters and moments of events of a person, as (first day, last day), sorted."""
    spans = {
        (day(e["START"]) or date.min, day(e["STOP"]) or day(e["START"]) or date.min)
        for e in facts.encounters_of(person)
    }
    days = {(d, d) for d in facts.event_days.get(person, ())}
    return sorted(
        s for s in spans | days if facts.extract is None or s[0] <= facts.extract
    )  # Synthea scores the year to come


def observed(person: str, facts: Facts) -> dict[date, date]:
    """First → last day seen, of each run of days without a silence of 548 days (THEMIS: observation periods of EHR data)."""
    runs: dict[date, date] = {}
    start = last = None
    for first, end in spans_seen(person, facts):
        if start is None or last is None or (first - last).days >= SILENT_DAYS:
            start, last = first, end
        last = max(last, end)
        runs[start] = last
    return runs


def periods(person: str, facts: Facts) -> dict[date, date]:
    """Start → end of the runs, each until 60 days after its last day, after death or the extract, united with enrolment."""
    died = day(facts.people.get(person, {}).get("DEATHDATE", ""))
    extract = facts.extract or date.max
    cover = [
        (_first(t), min(_last(t), extract, died or date.max))
        for t in _transitions(person, facts)
        if _insured(t, facts)
    ]
    after = timedelta(days=AFTER_DAYS)
    runs = [
        (a, min(b + after, died + after if died else date.max, extract))
        for a, b in observed(person, facts).items()
    ]
    found: dict[date, date] = {}
    start = None
    for first, last in sorted(s for s in (*cover, *runs) if s[0] <= s[1]):
        if start is None or (first - found[start]).days > 1:
            start = first
        found[start] = max(found.get(start, last), last)
    return found


def _after_silence(row: Row, facts: Facts) -> bool:
    start, known = row["observation_period_start_date"], periods(row["person_id"], facts)
    return min(known, default=start) < start and known.get(start) == row["observation_period_end_date"]


after_silence = RowRule(
    "period_after_a_silence", _after_silence,
    "ETL-Synthea makes one period from the first encounter to the last. A silence of 548 days or more splits ours (THEMIS, "
    "observation periods for EHR data; OMOP_RULES 3).",
)  # fmt: skip


@differs(
    "period_ends_60_days_after_the_last_event", ("observation_period_end_date",),
    "Ours ends 60 days after the last event before a silence of 548 days, after death, or with the extract (THEMIS; OMOP_RULES 3); "
    "theirs with the last encounter of all.",
)  # fmt: skip
def period_end(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    stops = [day(e["STOP"]) for e in facts.encounters_of(ours["person_id"])]
    ends = periods(ours["person_id"], facts).get(ours["observation_period_start_date"])
    return ours[column] == ends and theirs[column] == max(d for d in stops if d)


# --- payer_plan_period ------------------------------------------------------------------------------------------------------


def _transitions(person: str, facts: Facts) -> list[Text]:
    rows = [t for t in facts.source.get("payer_transitions", ()) if t["PATIENT"] == person]
    return sorted(rows, key=lambda t: (t["START_DATE"], t["END_DATE"]))


def _first(transition: Text) -> date:
    return date.fromisoformat(transition["START_DATE"][:10])


def _last(transition: Text) -> date:
    """The last day covered: the day before END_DATE."""
    return date.fromisoformat(transition["END_DATE"][:10]) - timedelta(days=1)


def _insured(transition: Text, facts: Facts) -> bool:
    return _payer_name(transition["PAYER"], facts) != "NO_INSURANCE"


def _payer_name(payer: str, facts: Facts) -> str | None:
    return next((p["NAME"] for p in facts.source.get("payers", ()) if p["ID"] == payer), None)


def _continues(row: Row, facts: Facts) -> bool:
    return any(
        t["PAYER"] == row["payer_source_value"]
        and t["START_DATE"][:10] < str(row["payer_plan_period_start_date"]) <= t["END_DATE"][:10]
        for t in _transitions(row["person_id"], facts)
    )


continues_the_span_before = RowRule(
    "span_that_continues_the_one_before", _continues,
    "Theirs has one row per line of `payer_transitions.csv`, a year each. Spans of one payer that follow each other are one period of "
    "ours (CDM payer_plan_period: a span of continuous enrolment).",
)  # fmt: skip


@differs(
    "last_day_covered", ("payer_plan_period_end_date",),
    "Theirs is END_DATE, on which the next span begins, so that two payers cover a day. Ours is the day before, of the last span of "
    "the same payer that continues this one, at most the day of the extract.",
)  # fmt: skip
def covered_until(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    until = str(theirs[column])
    for t in _transitions(ours["person_id"], facts):
        if (
            _payer_name(t["PAYER"], facts) == ours["payer_source_value"]
            and str(ours["payer_plan_period_start_date"]) <= t["START_DATE"][:10] <= until
        ):
            until = max(until, t["END_DATE"][:10])
    last = date.fromisoformat(until) - timedelta(days=1)
    return ours[column] == min(d for d in (last, facts.extract) if d)


@differs(
    "payer_by_name", ("payer_source_value",),
    "`payer_transitions.csv` gives the payer's id, `payers.csv` its name. Theirs keeps the id, ours the name.",
)  # fmt: skip
def payer_name(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    return ours[column] == _payer_name(theirs[column], facts)


@differs(
    "payer_as_plan", ("plan_source_value", "plan_concept_id", "plan_source_concept_id"),
    "Theirs repeats the payer's name as the plan, concept 0. Synthea names no plan: NULL (OMOP_RULES 5).",
)  # fmt: skip
def no_plan(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    return ours[column] is None and theirs[column] in (0, ours["payer_source_value"])


# --- eras ---------------------------------------------------------------------------------------------------------------


@differs(
    "condition_without_an_end", ("condition_era_end_date",),
    "The era's last occurrence has no end. ETL-Synthea lets it end the day after it starts; ours lasts the day (CDM: the era ends "
    "with its last occurrence, OMOP_RULES 12: no guessed end).",
)  # fmt: skip
def era_end(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    last = [
        c
        for c in facts.our_rows("condition_occurrence", ours["person_id"])
        if c["condition_concept_id"] == ours["condition_concept_id"]
        and c["condition_start_date"] == ours[column]
        and c["condition_end_date"] is None
    ]
    return bool(last) and theirs[column] == next_day(ours[column])


def _ours_alone(exposure: Row, ingredient: int, facts: Facts) -> bool:
    """Whether our concept_ancestor leads from the drug to the ingredient (or it is that), and theirs does not."""
    drug = exposure["drug_concept_id"]
    mine = drug == ingredient or (ingredient, drug) in facts.our_ancestors
    return mine and str(ingredient) not in facts.vocabulary.ingredients.get(str(drug), ())


def _begun_by(row: Row, facts: Facts) -> list[Row]:
    """Our exposures with which the era begins: those that start with it."""
    return [
        e
        for e in facts.our_rows("drug_exposure", row["person_id"])
        if e["drug_exposure_start_date"] == row["drug_era_start_date"]
    ]


def _ingredient_unknown(row: Row, facts: Facts) -> bool:
    begun = _begun_by(row, facts)
    return any(_ours_alone(e, row["drug_concept_id"], facts) for e in begun) and not any(
        str(row["drug_concept_id"]) in facts.vocabulary.ingredients.get(str(e["drug_concept_id"]), ())
        for e in begun
    )


ingredient_unknown = RowRule(
    "ingredient_that_their_ancestors_do_not_tell", _ingredient_unknown,
    "Their CONCEPT_ANCESTOR leads from none of the drugs that begin the era to the ingredient; the bundled vocabulary of ours also "
    "knows ingredients by the names of drugs (so 87 % of orders reach one).",
)  # fmt: skip


@differs(
    "era_ends_with_an_open_prescription", ("drug_era_end_date",),
    "The era's last exposure is an order without STOP: 30 days of ours (THEMIS 57), one of theirs.",
)  # fmt: skip
def era_end_open(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    last = [
        e
        for e in facts.our_rows("drug_exposure", ours["person_id"])
        if e["drug_exposure_end_date"] == ours[column]
        and e["verbatim_end_date"] is None
        and e["drug_type_concept_id"] == 32838
    ]
    return any(e["drug_exposure_start_date"] <= theirs[column] < ours[column] for e in last)


@differs(
    "ingredient_that_their_ancestors_do_not_tell", ("drug_era_end_date", "drug_exposure_count"),
    "The era goes on with a drug from which their CONCEPT_ANCESTOR does not lead to the ingredient.",
)  # fmt: skip
def era_longer(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    later = [
        e
        for e in facts.our_rows("drug_exposure", ours["person_id"])
        if ours["drug_era_start_date"] <= e["drug_exposure_start_date"] <= ours["drug_era_end_date"]
    ]
    return ours[column] > theirs[column] and any(
        _ours_alone(e, ours["drug_concept_id"], facts) for e in later
    )


# --- cost -------------------------------------------------------------------------------------------------------------------


def _cents(*amounts: str) -> int:
    return round(100 * sum(float(a or 0) for a in amounts))


def _encounter_cost(row: Row, facts: Facts) -> bool:
    code = (row["cost_event_id"] or "").split("|")[0]
    return any(
        _cents(e["TOTAL_CLAIM_COST"], r["BASE_COST"]) == _cents(str(row["total_charge"]))
        and _cents(e["PAYER_COVERAGE"]) == _cents(str(row["paid_by_payer"]))
        for e in facts.encounters_of(row["person"])
        for r in facts.lines_of(e["ID"])
        if r["CODE"] == code
    )


encounter_cost_on_each_line = RowRule(
    "encounter_cost_on_each_line", _encounter_cost,
    "insert_cost_v300.sql adds the encounter's whole cost to each procedure, vaccine and medication of it, and joins by code within "
    "a visit, so that repeats multiply. The sum is not what was paid (OMOP_RULES 14: no encounter cost repeated on its lines).",
)  # fmt: skip


def _of_the_encounter(claim: Text, facts: Facts) -> bool:
    """Whether provider, payer and day are those of the encounter (a pharmacy's claim has others)."""
    e = facts.encounters.get(claim["APPOINTMENTID"])
    return e is not None and (e["PROVIDER"], e["PAYER"], e["START"][:10]) == (
        claim["PROVIDERID"],
        claim["PRIMARYPATIENTINSURANCEID"],
        claim["SERVICEDATE"][:10],
    )


def _condition_cost(row: Row, facts: Facts) -> bool:
    code, start = (row["cost_event_id"] or "|").split("|")
    found = {e["ID"] for e in facts.record_encounters(row["person"], code, day(start))}
    claims = [
        c["ID"]
        for c in facts.claims_of.get(row["person"], ())
        if c["DIAGNOSIS1"] == code and c["APPOINTMENTID"] in found and _of_the_encounter(c, facts)
    ]
    charged, moved = (sum(facts.transferred(c, kind) for c in claims) for kind in ("1", "p"))
    return bool(claims) and (charged, charged + moved) == (
        _cents(str(row["paid_by_payer"])),
        _cents(str(row["total_charge"])),
    )


claim_cost_on_the_condition = RowRule(
    "claim_cost_on_the_condition", _condition_cost,
    "Theirs also gives a claim's money to the condition that is its first diagnosis: what was charged to the payer plus what was then "
    "moved to the patient, who is counted twice. Ours has one row per claim (OMOP_RULES 14).",
)  # fmt: skip


def _claim(row: Row, facts: Facts) -> bool:
    by_payer = _cents(str(row["paid_by_payer"]))
    claims = [facts.paid[c["ID"]] for c in facts.claims_of.get(row["person"], ()) if c["ID"] in facts.paid]
    if row["total_charge"] is None:
        return any(c.get("2") == by_payer for c in claims)
    return any((c["charged"], c.get("1", 0)) == (_cents(str(row["total_charge"])), by_payer) for c in claims)


one_row_per_claim = RowRule(
    "one_row_per_claim", _claim,
    "Ours is one row per claim and payer: what the claim charged, once, and what that payer paid (OMOP_RULES 14). Theirs has no row that "
    "says what a claim cost.",
)  # fmt: skip
