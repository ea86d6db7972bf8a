"""type2_diabetes_onset_2y: a first record of type 2 diabetes within two years, of people without diabetes."""

from __future__ import annotations

from carelake.gold.cohorts import tasks
from carelake.models.standard import standard

TYPE_2_DIABETES_ONSET_2Y = standard(
    tasks.TYPE_2_DIABETES_ONSET_2Y,
    intended_use="To invite people to a prevention programme or to screening.",
    limits=(
        "The day of a first record is not the day of onset: who is seen more often is found earlier.",
        "Metformin before a diagnosis does not exclude anyone, since it treats prediabetes too.",
    ),
)
