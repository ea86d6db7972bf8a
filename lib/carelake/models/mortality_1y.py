"""mortality_1y: death within the next twelve months."""

from __future__ import annotations

from carelake.gold.cohorts import tasks
from carelake.models.standard import standard

MORTALITY_1Y = standard(
    tasks.MORTALITY_1Y,
    intended_use="To find people who may want a conversation about goals of care, and to review whether their care matches them.",
    limits=(
        "Deaths that no sender reports are not known; without a link to a death registry mortality is under-counted.",
    ),
)
