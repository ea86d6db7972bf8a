"""How each OMOP table is compared with ETL-Synthea's: the natural key and the rules, in the order in which they are asked."""

from __future__ import annotations

from . import rules as r
from . import rules_events as e
from . import rules_people as p
from . import rules_spans as s
from .compare import Comparison

_VISIT_ZEROS = (
    "visit_source_concept_id",
    "visit_detail_source_concept_id",
    "admitted_from_concept_id",
    "discharged_to_concept_id",
)


def _event(table: str, *differs: object) -> Comparison:
    """A clinical event: person, code as sent, day."""
    value, start = r.SOURCE_VALUE[table], r.START[table]
    return Comparison(
        table,
        ("person_id", value, start),
        ours_only=(
            r.file_not_read(table), r.code_unmapped(table), r.code_mapped_by_ours(table), r.domain_not_read(table),
        ),
        differs=(
            r.event_visit(table), r.event_visit_of_stay(table), r.event_provider(table), *differs,  # type: ignore[arg-type]
        ),
    )  # fmt: skip


def _visit(table: str, prefix: str) -> Comparison:
    return Comparison(
        table,
        ("person_id", f"{prefix}_start_date", f"{prefix}_concept_id"),
        ours_only=(
            r.visit_class_lost(table), r.visit_of_a_stay(table), *((r.detail_rolled_up(table),) if table == "visit_detail" else ()),
        ),
        theirs_only=(r.visit_of_a_stay(table),),
        differs=(
            r.cut_to_dates(f"{prefix}_start_datetime", f"{prefix}_end_datetime"), r.type_concept(f"{prefix}_type_concept_id", 32827),
            r.zero_for_absent(table, *_VISIT_ZEROS), e.visit_source, e.visit_site, e.preceding_missing, e.preceding_order,
        ),
    )  # fmt: skip


COMPARISONS: tuple[Comparison, ...] = (
    Comparison("person", ("person_source_value",), differs=(p.person_location, p.race)),
    Comparison("death", ("person_id",), ours_only=(p.no_certificate,), differs=(p.death_day, p.death_cause)),
    Comparison(
        "location", ("city", "state", "zip"), ours_only=(p.organisation_address, p.address_of_a_town),
        differs=(p.location_words, p.location_source),
    ),
    Comparison(
        "care_site", ("care_site_source_value",), theirs_only=(p.one_place,),
        differs=(p.site_location, r.zero_for_absent("care_site", "place_of_service_concept_id")),
    ),
    Comparison(
        "provider", ("provider_source_value",), differs=(p.specialty, p.gender_source, p.provider_site)
    ),
    _visit("visit_occurrence", "visit"),
    _visit("visit_detail", "visit_detail"),
    Comparison(
        "observation_period", ("person_id", "observation_period_start_date"),
        ours_only=(s.after_silence,), differs=(s.period_end,),
    ),
    Comparison(
        "payer_plan_period", ("person_id", "payer_plan_period_start_date"),
        theirs_only=(s.continues_the_span_before,),
        differs=(
            s.covered_until, s.payer_name, s.no_plan,
            r.zero_for_absent(
                "payer_plan_period", "sponsor_concept_id", "sponsor_source_concept_id", "stop_reason_concept_id", "stop_reason_source_concept_id",
            ),
        ),
    ),
    _event(
        "condition_occurrence",
        r.cut_to_dates("condition_start_datetime", "condition_end_datetime"), r.type_concept("condition_type_concept_id", 32827),
        r.zero_for_absent("condition_occurrence", "condition_status_concept_id"),
    ),
    _event(
        "drug_exposure",
        r.cut_to_dates("drug_exposure_start_datetime", "drug_exposure_end_datetime"),
        r.type_concept("drug_type_concept_id", 32827, ours_may_be=(32818,)),
        r.constant("drug_exposure", "constant_where_the_source_is_silent", {"refills": 0, "quantity": 0.0, "lot_number": "0"},
                   "Synthea says nothing of it, so ours is NULL (CDM: as sent). ETL-Synthea writes 0."),
        r.zero_for_absent("drug_exposure", "route_concept_id"), e.days_supply, e.vaccine_end, e.open_prescription,
    ),
    _event(
        "procedure_occurrence",
        r.cut_to_dates("procedure_datetime", "procedure_end_datetime"), r.type_concept("procedure_type_concept_id", 32827),
        r.zero_for_absent("procedure_occurrence", "modifier_concept_id"),
    ),
    _event("device_exposure"),
    _event(
        "measurement",
        r.cut_to_dates("measurement_datetime"), r.type_concept("measurement_type_concept_id", 32827),
        r.zero_for_absent("measurement", "operator_concept_id", "value_as_concept_id"),
        e.measurement_time, e.unit_source, e.unit_unmapped, e.unit_of_words, e.value_cut,
    ),
    _event(
        "observation",
        r.cut_to_dates("observation_datetime"), r.type_concept("observation_type_concept_id", 32827, 38000280),
        r.zero_for_absent("observation", "value_as_concept_id", "qualifier_concept_id", "unit_concept_id"),
        e.observation_value, e.value_cut,
    ),
    Comparison("condition_era", ("person_id", "condition_concept_id", "condition_era_start_date"), differs=(s.era_end,)),
    Comparison(
        "drug_era", ("person_id", "drug_concept_id", "drug_era_start_date"),
        ours_only=(s.ingredient_unknown,), differs=(s.era_end_open, s.era_longer),
    ),
    Comparison(
        "cost", ("person", "cost_domain_id", "cost_event_id", "total_charge"), ours_only=(s.one_row_per_claim,),
        theirs_only=(s.encounter_cost_on_each_line, s.claim_cost_on_the_condition),
    ),
)  # fmt: skip
