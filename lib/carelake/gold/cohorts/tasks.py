"""The tasks that ship with carelake. A model in models/ names one; a site adds its own in YAML (conf `tasks`)."""

from __future__ import annotations

from carelake.gold.cohorts.task import (
    ACUTE_CARE,
    ADMISSION,
    COST,
    DEATH,
    DISCHARGE,
    WEEKLY,
    Event,
    Records,
    Task,
)
from carelake.gold.features.value_sets import CONDITIONS, NUMERICS, ValueSet

_GLUCOSE = next(n for n in NUMERICS if n.name == "glucose")
_HEART_FAILURE = next(c for c in CONDITIONS if c.name == "heart_failure")

TYPE_2_DIABETES = Event(
    "type_2_diabetes",
    "a first record of type 2 diabetes",
    (Records("condition", ValueSet(
        "type_2_diabetes", "type 2 diabetes", "diabetes mellitus type 2|type 2 diabetes|type ii diabetes|due to type 2 diabetes",
        "family|history of|suspected|no evidence|gestational", ("44054006",),
    )),),
)  # fmt: skip
ANY_DIABETES = Event(
    "any_diabetes",
    "any diabetes, or a drug for it",
    (
        Records("condition", next(c for c in CONDITIONS if c.name == "diabetes")),
        # who is treated has it, whatever the problem list says; metformin alone may treat prediabetes and is left out
        Records("drug", ValueSet("insulin_or_sulfonylurea", "insulin or a sulfonylurea", "\\binsulin|glipizide|glyburide|glimepiride", "excl")),
    ),
)  # fmt: skip
HEART_FAILURE = Event(
    "heart_failure", "a first record of heart failure", (Records("condition", _HEART_FAILURE),)
)
GLUCOSE = Event("glucose", "a glucose reading", (Records("measurement", result=_GLUCOSE),))
# level 1 hypoglycaemia of the international consensus on time in range (Battelino 2019): below 70 mg/dL
HYPOGLYCAEMIA = Event(
    "hypoglycaemia", "a glucose reading below 70 mg/dL", (Records("measurement", result=_GLUCOSE, below=70),)
)

# What CMS's planned readmission algorithm calls planned whatever the diagnosis (HWR, tables PR.1 and PR.2: transplants, maintenance
# chemotherapy and radiotherapy, rehabilitation), by name, since an EHR sends no CCS categories. Its potentially planned procedures
# need the CCS groups of ICD-10-PCS and are not told from acute care here.
PLANNED_CARE = Event(
    "planned_care",
    "treatment that is always planned",
    (Records("procedure", ValueSet(
        "planned_care", "treatment that is always planned",
        "transplantation of (bone marrow|kidney|liver|heart|lung|pancreas|stem cell)|(kidney|renal|liver|heart|lung|pancreas|bone marrow|stem cell) transplant"
        "|chemotherapy|radiotherapy|radiation therapy|teletherapy|brachytherapy|rehabilitation",
        "transplant (evaluation|education)|referral|planning",
    )),),
)  # fmt: skip

ACUTE_CARE_1Y = Task(
    name="acute_care_1y",
    words="An emergency visit, or an admission that a sender calls not elective, within the twelve months from the index date",
    outcome=Event(ACUTE_CARE, "an emergency visit or an unplanned admission"),
    months=12,
)
READMISSION_30D = Task(
    name="readmission_30d",
    words="An unplanned admission to hospital within 30 days of a discharge",
    outcome=Event(ADMISSION, "an unplanned admission"),
    index=DISCHARGE,
    after_days=1,
    days=31,
    ages=(18, 125),
    source="After CMS's hospital-wide readmission measure (HWR): transfers are one stay, planned admissions are no outcome",
)
MORTALITY_1Y = Task(
    name="mortality_1y",
    words="Death within the twelve months from the index date",
    outcome=Event(DEATH, "death"),
    months=12,
    ages=(18, 125),
)
TYPE_2_DIABETES_ONSET_2Y = Task(
    name="type2_diabetes_onset_2y",
    words="A first record of type 2 diabetes within the two years from the index date, of people without any diabetes",
    outcome=TYPE_2_DIABETES,
    months=24,
    washout=True,
    excluded=ANY_DIABETES,
    ages=(18, 125),
)
HEART_FAILURE_ONSET_1Y = Task(
    name="heart_failure_onset_1y",
    words="A first record of heart failure within the twelve months from the index date",
    outcome=HEART_FAILURE,
    months=12,
    washout=True,
    ages=(18, 125),
)
HIGH_COST_NEXT_YEAR = Task(
    name="high_cost_next_year",
    words="To be among the tenth of people whose care costs most in the twelve months from the index date",
    outcome=Event(COST, "what payers and patient paid"),
    months=12,
    top_share=0.1,
)
HYPOGLYCAEMIA_NEXT_WEEK = Task(
    name="hypoglycaemia_next_week",
    words="A glucose reading below 70 mg/dL within the seven days from a Monday that follows a week with readings on three days",
    outcome=HYPOGLYCAEMIA,
    index=WEEKLY,
    days=7,
    target=GLUCOSE,
    target_days=3,  # a meter or a sensor, not a laboratory value
    seen_months=0,
)

# Added at the end alone: the place of a task gives the ids of its cohorts in gold/cohort.
TASKS = (
    ACUTE_CARE_1Y, READMISSION_30D, MORTALITY_1Y, TYPE_2_DIABETES_ONSET_2Y, HEART_FAILURE_ONSET_1Y, HIGH_COST_NEXT_YEAR,
    HYPOGLYCAEMIA_NEXT_WEEK,
)  # fmt: skip
