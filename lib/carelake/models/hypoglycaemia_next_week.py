"""hypoglycaemia_next_week: a glucose reading below 70 mg/dL in the next seven days."""

from __future__ import annotations

from carelake.gold.cohorts import tasks
from carelake.models.standard import standard

HYPOGLYCAEMIA_NEXT_WEEK = standard(
    tasks.HYPOGLYCAEMIA_NEXT_WEEK,
    intended_use="To have a diabetes team look at the readings and the doses of those at risk in the week that begins.",
    limits=(
        "Asked are weeks that follow one with readings on three days: where glucose is a yearly laboratory value there is nothing to learn from, and the training "
        "says so and stops. It is meant for continuous monitors and meters.",
        "Level 1 hypoglycaemia by a single reading; no duration and no confirmation by a second one.",
    ),
)
