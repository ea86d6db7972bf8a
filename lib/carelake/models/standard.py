"""What carelake's models share: estimators, gates, audit groups, words; and the model of a task that declares nothing more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.features.analyses import ANALYSES, Value
from carelake.gold.features.covariate import COVARIATE
from carelake.gold.features.covariate_ref import COVARIATE_REF
from carelake.gold.features.person_features import PERSON_FEATURES, PREDICTORS
from carelake.ml.model import Covariates, Estimator, Gate, RiskModel

if TYPE_CHECKING:
    from carelake.gold.cohorts.task import Task

ESTIMATORS = (
    Estimator("logistic", {"regParam": (0.05, 0.2)}, {"elasticNetParam": 0.2, "maxIter": 25, "tol": 1e-4}),
    Estimator("boosted_trees", {}, {"maxDepth": 2, "maxIter": 20, "stepSize": 0.15, "minInstancesPerNode": 10, "subsamplingRate": 0.8}),
)  # fmt: skip
# Every concept in its windows: what is there or is abnormal. Numbers and counts are in the features.
PRESENT = Covariates(COVARIATE, COVARIATE_REF, of="covariate_id % 1000 IN ({})".format(
    ", ".join(str(a.analysis_id) for a in ANALYSES if a.value in (Value.PRESENT, Value.ABNORMAL))
))  # fmt: skip
GATES = (
    Gate("enough_events", "test_events", at_least=20),
    Gate("discriminates", "auroc_lower", at_least=0.5),
    Gate("acceptable_auroc", "auroc", at_least=0.65),
    Gate("beats_the_baselines", "auroc_gain", at_least=0.0),
    Gate("calibrated_slope", "calibration_slope", at_least=0.5, at_most=2.0),
    Gate("calibrated_in_the_large", "calibration_intercept", at_least=-0.5, at_most=0.5),
)
# what a model has to beat; the share of events in the training rows is a baseline of every model
BASELINES = {"age_sex": ("age_years", "female"), "charlson": ("age_years", "female", "charlson_score")}
GROUPS = {
    "sex": "sex",
    "age": "CASE WHEN age_years < 18 THEN 'under 18' WHEN age_years < 45 THEN '18-44' WHEN age_years < 65 THEN '45-64' "
    "WHEN age_years < 80 THEN '65-79' WHEN age_years >= 80 THEN '80 and over' END",
    "race": "race",
    "ethnicity": "ethnicity",
    "payer": "payer",
    "svi": "svi_quartile",
}
SITE = "care_site"
USE = (
    "A person decides on every contact. Not for diagnosis, for triage of anyone who is acutely ill, for denial or pricing of care or cover, nor for "
    "comparing clinicians."
)
SYNTHETIC = (
    "The population bundled with carelake, and every figure published with it, is SYNTHETIC (Synthea), with real Fitbit recordings of other people "
    "attached to some of the synthetic patients and shifted in time. A model trained on that says nothing about real patients. Trained on a lake of your "
    "own, it describes that lake's population, and only it."
)
_RACE = (
    "Race and ethnicity are not predictors; correlated features may still carry them. See the table by group."
)
LIMITS = (
    "A silent record counts as no event: care outside the senders of the lake is not seen.",
    "Wearable recordings attached by an enrolment file to synthetic patients carry no true relation to their outcomes.",
    "Reasons show what moved the score, each feature alone against its usual value; they are not causes.",
    _RACE,
    "The index dates of a person are not independent; intervals resample persons for that reason.",
    "Test index dates lie after the training years: drift between them is part of the measured error.",
)


def with_covariates(model: RiskModel) -> RiskModel:
    """The same model with PRESENT beside its features, by logistic regression: OHDSI's LASSO, with carelake's features as well."""
    linear = tuple(e for e in model.estimator if e.kind == "logistic")
    return replace(model, covariates=PRESENT, estimator=linear)


def standard(task: Task, *, intended_use: str, limits: tuple[str, ...] = (), **given: Any) -> RiskModel:
    """The model of a task with what carelake's models share; `given` are fields of RiskModel in place of the shared ones."""
    fields: dict[str, Any] = {
        "estimator": ESTIMATORS, "gates": GATES, "groups": GROUPS, "site": SITE, "baselines": BASELINES, "population": SYNTHETIC,
    }  # fmt: skip
    by = given.get("recalibrate_by")
    own = [text for text in LIMITS if not (text is _RACE and by in ("race", "ethnicity"))]
    if by:
        own.append(
            f"The score is recalibrated by {by}: two people alike in all else may get different scores for it. That is a decision of policy."
        )
    return RiskModel(
        name=task.name, target=task.words, cohort=TASK_COHORT, task=task.name, top_share=task.top_share, feature_table=PERSON_FEATURES,
        features=PREDICTORS, intended_use=f"{intended_use} {USE}", limits=(*limits, *own), **(fields | given),
    )  # fmt: skip
