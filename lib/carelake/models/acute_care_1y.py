"""acute_care_1y: an emergency visit or an unplanned admission within the next twelve months."""

from __future__ import annotations

from carelake.gold.cohorts.acute_care_1y import COHORT_ACUTE_CARE_1Y
from carelake.gold.features.person_features import PERSON_FEATURES, PREDICTORS
from carelake.ml.model import Estimator, Gate, RiskModel

ACUTE_CARE_1Y = RiskModel(
    name="acute_care_1y",
    target="An emergency visit, or an admission that a sender calls not elective, within the twelve months from the index date",
    cohort=COHORT_ACUTE_CARE_1Y,
    feature_table=PERSON_FEATURES,
    features=PREDICTORS,
    estimator=(
        Estimator("logistic", {"regParam": (0.05, 0.2)}, {"elasticNetParam": 0.2, "maxIter": 25, "tol": 1e-4}),
        Estimator("boosted_trees", {}, {"maxDepth": 2, "maxIter": 20, "stepSize": 0.15, "minInstancesPerNode": 10, "subsamplingRate": 0.8}),
    ),
    gates=(
        Gate("enough_events", "test_events", at_least=20),
        Gate("discriminates", "auroc_lower", at_least=0.5),
        Gate("acceptable_auroc", "auroc", at_least=0.65),
        Gate("beats_age_and_sex", "auroc_gain", at_least=0.0),
        Gate("calibrated_slope", "calibration_slope", at_least=0.5, at_most=2.0),
        Gate("calibrated_in_the_large", "calibration_intercept", at_least=-0.5, at_most=0.5),
    ),
    intended_use="To order an outreach worklist of a population-health team: whom to call first. A person decides on every "
    "contact. Not for diagnosis, for triage of anyone who is acutely ill, for denial or pricing of care or cover, nor for "
    "comparing clinicians.",
    population="The population bundled with carelake, and every figure published with it, is SYNTHETIC (Synthea), with real "
    "Fitbit recordings of other people attached to some of the synthetic patients and shifted in time. A model trained on that says nothing "
    "about real patients. Trained on a lake of your own, it describes that lake's population, and only it.",
    limits=(
        "Whether an admission was planned is known from claims that say so and from an emergency visit that became a stay; other "
        "admissions are not counted as events, so the outcome is under-counted where only the EHR was watching.",
        "A silent record counts as no event: care outside the senders of the lake is not seen.",
        "Wearable recordings attached by an enrolment file to synthetic patients carry no true relation to their outcomes.",
        "Reasons show what moved the score, each feature alone against its usual value; they are not causes.",
        "Race and ethnicity are not predictors; correlated features may still carry them. See the table by group.",
        "The landmarks of a person are not independent; intervals resample persons for that reason.",
        "Test index dates lie after the training years: drift between them is part of the measured error.",
    ),
    baseline=("age_years", "female"),
    groups={
        "sex": "sex",
        "age": "CASE WHEN age_years < 18 THEN 'under 18' WHEN age_years < 45 THEN '18-44' WHEN age_years < 65 THEN '45-64' "
        "WHEN age_years < 80 THEN '65-79' WHEN age_years >= 80 THEN '80 and over' END",
        "race": "race",
        "ethnicity": "ethnicity",
    },
)  # fmt: skip
