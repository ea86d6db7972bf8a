"""Each event linked: whose it is, in which visit, by whom, what it means and to which OMOP table it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.conformed.event import EPISODE, EVENT
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.meaning import meanings, same_codings, unit_meanings, unit_sql
from carelake.silver.link.tables import EVENT_LINK, PERSON_LINK, PROVIDER_LINK, VISIT_LINK
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FULFILLED = "fulfilled_by_administration"
BEFORE_BIRTH = "before_birth"  # by more than a year: a century mistyped, not care before birth

_CARRIED = [f"e.{c}" for c in EVENT_LINK.columns if c in EVENT.columns]
_NUMBER = (
    "CASE WHEN value_number % 1 = 0 AND abs(value_number) < 1e15 THEN cast(try_cast(value_number AS bigint) AS string) "
    "ELSE cast(value_number AS string) END"
)


@step(
    writes=EVENT_LINK, events=EVENT, persons=PERSON_LINK, patients=PATIENT, visits=VISIT_LINK, providers=PROVIDER_LINK,
    codes=CODE_MAP,
)  # fmt: skip
def event(
    events: DataFrame,
    persons: DataFrame,
    patients: DataFrame,
    visits: DataFrame,
    providers: DataFrame,
    codes: DataFrame,
) -> DataFrame:
    """One row per event of a known person and standard concept that it maps to.

    The events are passed once: what the codings mean is a small table that is broadcast (see meaning); persons,
    visits, providers and fulfilled orders are broadcast when Spark finds them small.
    """
    meaning = F.broadcast(meanings(events, codes))
    person = people(persons, patients)
    visit = visits.selectExpr(
        "source AS _source", "source_encounter_id", "person_id", "visit_occurrence_id", "visit_detail_id"
    )
    provider = providers.selectExpr("source AS _source", "reference AS source_provider_id", "provider_id")
    linked = (
        events.selectExpr("*", f"{unit_sql()} AS unit")
        .join(person, ["_source", "source_person_id"], how="inner")
        .join(
            visit, ["_source", "source_encounter_id", "person_id"], how="left"
        )  # nobody has another's visit
        .join(provider, ["_source", "source_provider_id"], how="left")
        .join(fulfilled(events), ["_record", "_part"], how="left")
        .join(F.broadcast(unit_meanings(events, codes)), "unit", how="left")
        .alias("e")
        .join(meaning.alias("w"), F.expr(same_codings("e.codings", "w")), how="left")
        .join(meaning.alias("v"), F.expr(same_codings("e.value_codings", "v")), how="left")
        .join(meaning.alias("r"), F.expr(same_codings("e.route", "r")), how="left")
    )
    meant = linked.selectExpr(
        *_CARRIED, "e._kind", "e.person_id", "e.visit_occurrence_id", "e.visit_detail_id", "e.provider_id",
        f"coalesce(e.excluded, CASE WHEN e.start_datetime < e.earliest THEN '{BEFORE_BIRTH}' END) AS excluded",
        "w.m AS w",
        "coalesce(w.m.source_value, e.code_text, try_element_at(e.codings, 1).display) AS source_value",
        "try_element_at(e.codings, w.m.pos + 1).display AS display",
        f"coalesce(concat(coalesce(e.value_operator, ''), coalesce(e.value_sent, {_NUMBER})), "
        "v.m.source_value, e.value_text, try_element_at(e.value_codings, 1).display) AS value_source_value",
        "CASE WHEN size(e.value_codings) > 0 THEN coalesce(try_element_at(v.m.targets, 1).concept_id, 0) END AS answer",
        "e.unit AS unit_source_value",
        "CASE WHEN e.unit IS NOT NULL THEN coalesce(e.unit_concept_id, 0) END AS unit_concept_id",
        "CASE WHEN e.unit IS NOT NULL THEN coalesce(e.unit_source_concept_id, 0) END AS unit_source_concept_id",
        "CASE WHEN size(e.route) > 0 THEN coalesce(try_element_at(r.m.targets, 1).concept_id, 0) END AS route_concept_id",
        "coalesce(r.m.source_value, try_element_at(e.route, 1).display) AS route_source_value",
        "nullif(array_join(e.modifiers.code, ','), '') AS modifier_source_value",
    )  # fmt: skip
    return _routed(meant.selectExpr("*", "inline_outer(w.targets)"))


def people(persons: DataFrame, patients: DataFrame) -> DataFrame:
    """`_source`, source_person_id, person_id, earliest: the year before the year of birth that the sender's latest record tells.

    A union and no join, whose size Spark would estimate as the product of both.
    """
    born = "make_date(year_of_birth - 1, 1, 1)"
    linked = persons.selectExpr(
        "source AS _source", "source_person_id", "person_id", "cast(NULL AS date) AS earliest"
    )
    told = patients.where("is_latest").selectExpr(
        "_source", "source_person_id", "cast(NULL AS bigint) AS person_id", f"{born} AS earliest"
    )
    both = (
        linked.unionByName(told)
        .groupBy("_source", "source_person_id")
        .agg(F.expr("max(person_id)").alias("person_id"), F.expr("min(earliest)").alias("earliest"))
    )
    return both.where("person_id IS NOT NULL")


def fulfilled(events: DataFrame) -> DataFrame:
    """`_record`, `_part`, excluded: the orders that an administration fulfils (OMOP_RULES 10).

    Either the administration says so (`based_on`), or it has the same person, encounter, code and start. No join but
    semi joins: their size is estimated well, so that the small result is broadcast and the events are not shuffled.
    """
    drugs = events.where("fact IN ('order', 'administration')").selectExpr(
        "_source", "source_person_id", "source_encounter_id", "start_datetime", "fact", "source_event_id", "based_on",
        "coalesce(try_element_at(codings, 1).code, lower(trim(code_text))) AS what", "_record", "_part",
    )  # fmt: skip
    named = drugs.where("fact = 'administration' AND based_on IS NOT NULL").selectExpr(
        "_source", "source_person_id", "based_on AS source_event_id"
    )
    same = ["_source", "source_person_id", "source_event_id"]
    by_name = drugs.where("fact = 'order'").join(named, same, how="left_semi")
    by_time = (
        drugs.where("what IS NOT NULL")
        .selectExpr(
            "fact", "_record", "_part",
            "bool_or(fact = 'administration') OVER (PARTITION BY _source, source_person_id, source_encounter_id, "
            "start_datetime, what) AS given",
        )
        .where("given AND fact = 'order'")
    )  # fmt: skip
    both = by_name.select("_record", "_part").union(by_time.select("_record", "_part"))
    return both.distinct().withColumn("excluded", F.lit(FULFILLED))


def _routed(meant: DataFrame) -> DataFrame:
    """Domain and concepts of each target. An allergy is never an exposure to what the person is allergic to, and a plan
    of care is never what it plans."""
    allergic = meant.selectExpr(
        "*",
        "CASE WHEN domain IS NULL THEN domain_hint WHEN domain_hint = other_domain THEN other_domain ELSE domain END "
        "AS place",
        "fact = 'allergy' AND coalesce(domain, domain_hint) IN ('Drug', 'Device') AS substance",
    )
    replaced = "substance AND concept_id <> 0 AND w.drug_allergy IS NOT NULL"
    return allergic.selectExpr(
        *[c.removeprefix("e.") for c in _CARRIED], "person_id", "visit_occurrence_id", "visit_detail_id", "provider_id",
        "excluded", "source_value", "value_source_value", "unit_source_value", "unit_concept_id",
        "unit_source_concept_id", "route_concept_id", "route_source_value", "modifier_source_value",
        f"{id_sql('silver/link/event', '_source', '_kind', 'source_event_id', '_part', 'coalesce(target_no, 0)')} AS event_id",
        f"CASE WHEN domain_hint = '{EPISODE}' THEN '{EPISODE}' WHEN substance THEN 'Observation' ELSE place END AS domain_id",
        f"CASE WHEN {replaced} THEN w.drug_allergy ELSE coalesce(concept_id, 0) END AS concept_id",
        "coalesce(w.source_concept_id, 0) AS source_concept_id",
        "w.source_vocabulary_id AS source_vocabulary_id",
        "coalesce(target_no, 0) AS target_no",
        f"CASE WHEN {replaced} THEN concept_id ELSE coalesce(value_concept, answer) END AS value_as_concept_id",
        # with a standard concept its name says it; without one this is all that is known of the code
        "CASE WHEN coalesce(concept_id, 0) = 0 THEN display END AS source_display",
    )  # fmt: skip
