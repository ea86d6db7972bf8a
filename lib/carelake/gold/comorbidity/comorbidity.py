"""gold/comorbidity: the diseases of Charlson's and Elixhauser's indices on record before an index date, and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.care_episodes import within_periods
from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.comorbidity.charlson import CHARLSON
from carelake.gold.comorbidity.elixhauser import ELIXHAUSER
from carelake.gold.comorbidity.hospital_frailty import LOOKBACK_MONTHS, weights_sql
from carelake.gold.comorbidity.index import ICD_9, ICD_10, counted_sql, groups_sql, score_sql
from carelake.gold.concept_sets import members
from carelake.gold.features.before import before
from carelake.gold.features.lace import comorbidity_points_sql
from carelake.gold.features.value_sets import ValueSet
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary import structural as v
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

INDICES = (CHARLSON, ELIXHAUSER)

COMORBIDITY = Table(
    name="gold/comorbidity",
    doc="One row per person and index date: the groups of Charlson's and Elixhauser's indices with a diagnosis at any time "
    "before that day (chronic disease stays, so the lookback is the whole record inside observation periods), and their scores. "
    "A diagnosis with an ICD-10 or ICD-9-CM code is placed by Quan's published lists; one without (an EHR that codes in SNOMED "
    "CT) by the names and ancestors of its concept, which is an approximation of ours. Where the milder form of a disease and "
    "the graver are both on record, the graver alone is listed.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "Everything is from before this day", required=True),
        Field("charlson_groups", "array<string>", "Charlson's groups on record, in alphabetical order", required=True),
        Field("charlson_score", "int", "Their weights of 1987 added up (0 to 29)", required=True),
        Field("charlson_quan_2011", "int", "Their weights of Quan 2011 added up (0 to 24)", required=True),
        Field("elixhauser_groups", "array<string>", "Elixhauser's groups on record, in alphabetical order", required=True),
        Field("elixhauser_van_walraven", "int", "Their weights of van Walraven 2009 added up (-19 to 85)", required=True),
        Field("hospital_frailty", "double", "Hospital Frailty Risk Score of the ICD-10 diagnoses of hospital stays in two years (0 to 173.2); "
              "NULL without such a diagnosis"),
        Field("lace_points", "int", "Points of Charlson's groups in the LACE index (0 to 3, or 5)", required=True),
        Field("coded_in_icd", "boolean", "Whether all that is listed was placed by ICD codes; NULL when nothing is"),
    ),
    key=("person_id", "index_date"),
    checks=(Check("scores_in_range", "charlson_score BETWEEN 0 AND 29 AND elixhauser_van_walraven BETWEEN -19 AND 85",
                  on_fail=OnFail.STOP),),
    cluster_by=("person_id",),
)  # fmt: skip

# The code says its vocabulary where no concept does: an ICD-10 code has a letter first; ICD-9-CM has three digits and at
# most two more (a SNOMED CT id has at least six), or V and at most four digits. An E code of ICD-9, a cause of injury, is in no group.
_SHAPE = (
    "CASE WHEN code RLIKE '^V[0-9]{2}[.]?[0-9]{0,2}$' OR code RLIKE '^[0-9]{3}([.]?[0-9]{1,2})?$' THEN 'ICD9CM' "
    "WHEN code RLIKE '^[A-Z][0-9][0-9A-Z]([.]?[0-9A-Z]{1,4})?$' THEN 'ICD10CM' END"
)


def coded(conditions: DataFrame, concepts: DataFrame) -> DataFrame:
    """CONDITION_OCCURRENCE rows as person_id, date, concept_id, visit_occurrence_id, vocabulary, code: the ICD code and its vocabulary, NULL when there is none."""
    icd = concepts.where(f"vocabulary_id IN {ICD_10 + ICD_9}").selectExpr(
        "concept_id AS condition_source_concept_id", "vocabulary_id AS _vocabulary", "concept_code AS _code"
    )
    return (
        conditions.join(F.broadcast(icd), "condition_source_concept_id", how="left")
        .withColumn("code", F.expr("coalesce(_code, upper(trim(condition_source_value)))"))
        .selectExpr(
            "person_id", "condition_start_date AS date", "condition_concept_id AS concept_id", "visit_occurrence_id",
            f"coalesce(_vocabulary, {_SHAPE}) AS vocabulary", "code",
        )
        .withColumn("code", F.expr("CASE WHEN vocabulary IS NOT NULL THEN code END"))
    )  # fmt: skip


def placed(diagnoses: DataFrame, concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    """person_id, date, `name` (index.group), `by_icd`: the first day of each group, by ICD code, else by concept."""
    codes = diagnoses.where("code IS NOT NULL").select("vocabulary", "code").distinct()
    named = [
        f"transform({groups_sql(i, 'vocabulary', 'code')}, g -> concat('{i.name}.', g))" for i in INDICES
    ]
    by_code = codes.selectExpr("vocabulary", "code", f"explode(concat({', '.join(named)})) AS name")
    sets = tuple(
        ValueSet(f"{i.name}.{g.name}", g.words, g.names, g.but_not, g.anchors)
        for i in INDICES
        for g in i.groups
    )
    by_concept = members(sets, ("Condition",), concepts, ancestors).selectExpr(
        "concept_id", "explode(sets) AS name"
    )
    columns = ("person_id", "date", "name", "by_icd")
    said = (
        diagnoses.where("code IS NOT NULL")
        .join(F.broadcast(by_code), ["vocabulary", "code"], how="inner")
        .selectExpr("*", "true AS by_icd")
        .select(*columns)
        .unionByName(
            diagnoses.where("code IS NULL AND concept_id <> 0")
            .join(F.broadcast(by_concept), "concept_id", how="inner")
            .selectExpr("*", "false AS by_icd")
            .select(*columns)
        )
    )
    return said.groupBy("person_id", "name", "by_icd").agg(F.min("date").alias("date"))


def frailty(asked: DataFrame, diagnoses: DataFrame, visits: DataFrame) -> DataFrame:
    """hospital_frailty of each person and index date with an ICD-10 diagnosis of a hospital stay in the two years before; each code once."""
    hospital = (
        v.VISIT_INPATIENT,
        v.VISIT_ER_TO_INPATIENT,
        v.VISIT_INPATIENT_HOSPITAL,
        v.VISIT_INTENSIVE_CARE,
    )
    stays = visits.where(f"visit_concept_id IN {hospital}").select("visit_occurrence_id")
    of_stays = (
        diagnoses.where(f"vocabulary IN {ICD_10}")
        .selectExpr("person_id", "date", "left(code, 3) AS code3", "visit_occurrence_id")
        .join(stays, "visit_occurrence_id", how="left_semi")
        .select("person_id", "date", "code3")
        .distinct()
    )
    weights = F.broadcast(visits.limit(1).selectExpr(f"inline({weights_sql()})"))
    known = before(asked, of_stays, LOOKBACK_MONTHS).select("person_id", "index_date", "code3").distinct()
    return (
        known.join(weights, "code3", how="left")
        .groupBy("person_id", "index_date")
        .agg(F.expr("cast(coalesce(sum(weight), 0) AS double)").alias("hospital_frailty"))
    )


@step(
    writes=COMORBIDITY, cohort=TASK_COHORT, conditions=CONDITION_OCCURRENCE, visits=VISIT_OCCURRENCE, periods=OBSERVATION_PERIOD,
    concepts=CONCEPT, ancestors=CONCEPT_ANCESTOR,
)  # fmt: skip
def comorbidity(
    cohort: DataFrame,
    conditions: DataFrame,
    visits: DataFrame,
    periods: DataFrame,
    concepts: DataFrame,
    ancestors: DataFrame,
) -> DataFrame:
    """Each person and index date of the cohort with what was diagnosed before; a diagnosis on the index date does not count."""
    asked = cohort.select("person_id", "index_date").distinct()
    diagnoses = coded(within_periods(conditions, "condition_start_date", periods), concepts)
    known = before(asked, placed(diagnoses, concepts, ancestors)).groupBy("person_id", "index_date").agg(
        *[
            F.expr(f"array_sort(collect_set(substring(name, {len(i.name) + 2})) FILTER (WHERE name LIKE '{i.name}.%'))").alias(i.name)
            for i in INDICES
        ],
        F.expr("bool_and(by_icd)").alias("coded_in_icd"),
    )  # fmt: skip
    none = "cast(array() AS array<string>)"
    return (
        asked.join(known, ["person_id", "index_date"], how="left")
        .join(frailty(asked, diagnoses, visits), ["person_id", "index_date"], how="left")
        .selectExpr(
            "person_id", "index_date", "coded_in_icd", "hospital_frailty",
            *[f"coalesce({counted_sql(i, i.name)}, {none}) AS {i.name}_groups" for i in INDICES],
        )
        .selectExpr(
            "*",
            f"{score_sql(CHARLSON, 'charlson_1987', 'charlson_groups')} AS charlson_score",
            f"{score_sql(CHARLSON, 'quan_2011', 'charlson_groups')} AS charlson_quan_2011",
            f"{score_sql(ELIXHAUSER, 'van_walraven', 'elixhauser_groups')} AS elixhauser_van_walraven",
            f"{comorbidity_points_sql('charlson_groups')} AS lace_points",
        )
    )  # fmt: skip
