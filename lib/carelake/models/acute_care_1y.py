"""acute_care_1y: an emergency visit or an unplanned admission within the next twelve months."""

from __future__ import annotations

from carelake.gold.cohorts import tasks
from carelake.models.standard import standard

ACUTE_CARE_1Y = standard(
    tasks.ACUTE_CARE_1Y,
    intended_use="To order an outreach worklist of a population-health team: whom to call first.",
    limits=(
        "Whether an admission was planned is known from claims that say so and from an emergency visit that became a stay; other "
        "admissions are not counted as events, so the outcome is under-counted where only the EHR was watching.",
    ),
)
