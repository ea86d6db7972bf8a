"""readmission_30d: an unplanned admission within 30 days of a discharge."""

from __future__ import annotations

from carelake.gold.cohorts import tasks
from carelake.models.standard import BASELINES, standard

READMISSION_30D = standard(
    tasks.READMISSION_30D,
    intended_use="To offer transitional care (a call within two days, an early visit, a review of drugs) to those who leave hospital.",
    baselines={**BASELINES, "lace": ("lace_score",)},
    limits=(
        "Of CMS's planned readmission algorithm, the treatments that are always planned are told by name and the senders' own word is taken; potentially "
        "planned procedures need the CCS groups of ICD-10-PCS and count as unplanned.",
        "All ages from 18, payers and conditions; without the risk adjustment of the measure it is no measure of hospitals.",
    ),
)
