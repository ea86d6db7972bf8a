"""high_cost_next_year: to be among the tenth whose care costs most in the next twelve months."""

from __future__ import annotations

from carelake.gold.cohorts import tasks
from carelake.models.standard import standard

HIGH_COST_NEXT_YEAR = standard(
    tasks.HIGH_COST_NEXT_YEAR,
    intended_use="To plan the capacity of care management and offer it to those whose care is most complex.",
    limits=(
        "Cost is what was paid, not what was needed: groups with less access cost less at equal illness (Obermeyer 2019, doi:10.1126/science.aax2342). "
        "Never use it as a measure of need; see the table by group.",
        "The tenth is drawn anew on each index date among all who are asked then, so its bound in money differs from year to year.",
        "A cost without an event of its own has no day and does not count.",
    ),
)
