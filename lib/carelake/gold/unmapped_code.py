"""gold/unmapped_code: the codes that reach no standard concept, the most frequent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.core.table import Field, Table
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.vocabulary.cdm_tables import CONCEPT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TEXT_ONLY = "(text only)"

UNMAPPED_CODE = Table(
    name="gold/unmapped_code",
    doc="One row per sender, vocabulary, code and domain whose events have concept 0: what to map next. Events that came "
    "in words alone are one row per sender and domain, their words (which may name a person) are not shown.",
    fields=(
        Field(
            "rank",
            "int",
            "By number of events, from 1; ties by sender, vocabulary, code and domain",
            required=True,
        ),
        Field("source", "string", "Sender", required=True),
        Field(
            "vocabulary_id",
            "string",
            "OMOP vocabulary of the code, else its system as sent; NULL for words alone",
        ),
        Field("code", "string", "The code as sent; NULL for words alone"),
        Field(
            "source_text",
            "string",
            "The words for the code that most persons' records have, the first by alphabet of equally frequent ones; "
            "'(text only)' for words alone",
        ),
        Field("n_persons_text", "bigint", "Number of persons whose records have these very words"),
        Field("domain_id", "string", "Domain in which the events are", required=True),
        Field(
            "source_concept_id",
            "int",
            "Concept of the code itself, 0 when the vocabulary has none",
            required=True,
        ),
        Field("source_concept_name", "string", "Name of that concept"),
        Field("n_rows", "bigint", "Number of events", required=True),
        Field("n_persons", "bigint", "Number of persons", required=True),
        Field("first_date", "date", "First day of such an event", required=True),
        Field("last_date", "date", "Last day of such an event", required=True),
    ),
    key=("rank",),
)


_KEY = ("source", "vocabulary_id", "code", "domain_id")


@step(writes=UNMAPPED_CODE, events=EVENT_LINK, concepts=CONCEPT)
def unmapped_code(events: DataFrame, concepts: DataFrame) -> DataFrame:
    """Codes with concept 0, counted over the events that are in an OMOP table."""
    coded = "source_vocabulary_id IS NOT NULL"
    unmapped = events.where("concept_id = 0 AND excluded IS NULL").selectExpr(
        "_source AS source", "source_vocabulary_id AS vocabulary_id", f"CASE WHEN {coded} THEN source_value END AS code",
        f"CASE WHEN {coded} THEN source_display ELSE '{TEXT_ONLY}' END AS source_text",
        "domain_id", "source_concept_id", "person_id", "to_date(start_datetime) AS day",
    )  # fmt: skip
    counted = unmapped.groupBy(*_KEY).agg(
        F.expr("max(source_concept_id) AS source_concept_id"),
        F.expr("count(*) AS n_rows"),
        F.expr("count(DISTINCT person_id) AS n_persons"),
        F.expr("min(day) AS first_date"),
        F.expr("max(day) AS last_date"),
    )
    words = (
        unmapped.where("source_text IS NOT NULL")
        .groupBy(*_KEY, "source_text")
        .agg(F.expr("count(DISTINCT person_id) AS n"))
        .groupBy(*_KEY)
        .agg(F.expr("min(struct(-n, source_text, n)) AS most"))
    )
    with_words = (
        counted.alias("c")
        .join(words.alias("w"), F.expr(" AND ".join(f"c.{k} <=> w.{k}" for k in _KEY)), how="left")
        .selectExpr("c.*", "w.most.source_text AS source_text", "w.most.n AS n_persons_text")
    )
    few = F.broadcast(counted.selectExpr("source_concept_id AS concept_id").distinct())
    named = concepts.where("concept_id <> 0").join(few, "concept_id", how="left_semi")
    names = named.selectExpr("concept_id AS source_concept_id", "concept_name AS source_concept_name")
    return with_words.join(names, "source_concept_id", how="left").selectExpr(
        "*", "row_number() OVER (ORDER BY n_rows DESC, source, vocabulary_id, code, domain_id) AS rank"
    )
