"""FHIR R4: the mapping of care plans. `fhir` declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.silver.conformed.event import EPISODE
from carelake.sources import fhir_shapes as f

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# US Core's kind of plan (assess-plan) stands in every category beside the code of the plan itself.
_KIND_OF_PLAN = "%careplan-category"


def care_plan(records: DataFrame) -> DataFrame:
    """A plan of care, from its period, else the day of its creation. What it plans is not what was done.

    R4 has no code for the whole plan: its category says what it is, else its title. `addresses` are the records that it
    is for. Drafts and proposals are no plans that anybody follows.
    """
    what = (
        f"named_struct('coding', filter(flatten(transform(category, x -> coalesce(x.coding, array()))), "
        f"c -> coalesce(c.system, '') NOT LIKE '{_KIND_OF_PLAN}'), "
        "'text', coalesce(title, get(filter(category, x -> x.text IS NOT NULL), 0).text))"
    )
    frame = f.parsed(
        records, "CarePlan",
        _start="coalesce(period.start, created)", _end="period.`end`", _what=what,
    )  # fmt: skip
    return f.rows(frame, f.event(
        "subject", "_what", "care_plan", f"'{EPISODE}'",
        source_encounter_id=f.reference("encounter"), source_provider_id=f.clinician("author"),
        clinical_status="status", reason_ids=f.references("addresses"),
    ), *f.status_problems(), f.no_code("_what"), *f.BAD_TIMES,
        excluded="CASE WHEN status = 'draft' OR intent IN ('proposal', 'option') THEN 'not_an_order' END",
    )  # fmt: skip
