"""heart_failure_onset_1y: a first record of heart failure within the next twelve months."""

from __future__ import annotations

from carelake.gold.cohorts import tasks
from carelake.models.standard import standard

HEART_FAILURE_ONSET_1Y = standard(
    tasks.HEART_FAILURE_ONSET_1Y,
    intended_use="To offer people at risk a review of blood pressure, rhythm and drugs, and natriuretic peptide testing.",
    limits=(
        "The day of a first record is not the day of onset; echocardiography and natriuretic peptides are rarely in the record.",
    ),
)
