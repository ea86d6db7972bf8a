"""What each source code means, resolved once per vocabulary version, and what came in the place of a concept."""

from __future__ import annotations

from carelake.core.table import Field, Table

CODE_MAP = Table(
    name="silver/vocabulary/code_map",
    doc="One row per source code and standard concept that it maps to (or one row with concept 0 when the code is known "
    "and maps to nothing). Small enough to broadcast with the bundled subset.",
    fields=(
        Field("vocabulary_id", "string", "OMOP vocabulary of the code", required=True),
        Field(
            "code",
            "string",
            "The code in look-up form (see codes.code_sql): ICD dotted, NDC in 11 digits, CVX without leading zeros",
            required=True,
        ),
        Field(
            "source_concept_id", "int", "Concept of the code, 0 when the vocabulary has none", required=True
        ),
        Field("source_domain_id", "string", "Domain of that concept"),
        Field(
            "concept_id", "int", "Standard, valid concept by Maps to or a local map; 0 none", required=True
        ),
        Field("domain_id", "string", "Domain of the standard concept"),
        Field("concept_class_id", "string", "Class of the standard concept"),
        Field("value_as_concept_id", "int", "By Maps to value; NULL none"),
        Field("target_no", "int", "Number among the targets, by concept id, from 0", required=True),
        Field("provenance", "string", "vocabulary, or the name of the local map", required=True),
    ),
    key=("vocabulary_id", "code", "target_no"),
)

SUCCESSOR = Table(
    name="silver/vocabulary/successor",
    doc="One row per concept and concept that came in its place, directly or by way of others (`Concept replaced by`).",
    fields=(
        Field("concept_id", "int", "The concept that was replaced", required=True),
        Field(
            "successor_concept_id", "int", "A concept that came after it; itself in a circle", required=True
        ),
        Field("steps", "int", "Least number of replacements between them, from 1 to 8", required=True),
    ),
    key=("concept_id", "successor_concept_id"),
)
