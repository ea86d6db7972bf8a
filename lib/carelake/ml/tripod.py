"""Where a model card answers the items of TRIPOD+AI, and what its figures say to the four domains of PROBAST."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carelake.ml.model import RiskModel

EVENTS_PER_VARIABLE = (
    10  # below it PROBAST sees a high risk of overfitting (Moons 2019, signalling question 4.1)
)
VALIDATION_EVENTS = 100  # fewer events leave a validation uncertain (Vergouwe 2005; PROBAST 4.1)

# Collins et al., BMJ 2024;385:e078378. Item, what it asks, the section of the card that answers or why none does.
TRIPOD_AI = (
    ("1, 2", "title and abstract", "title and verdict"),
    ("3a, 3b", "context, target population, intended users", "Intended use; Participants"),
    (
        "3c",
        "known health inequalities",
        "Fairness; what is known from elsewhere has to be added by who uses it",
    ),
    ("4", "objectives", "Question and outcome"),
    ("5a, 5b", "source and dates of data", "Source of data"),
    ("6a, 6b", "setting and eligibility", "Participants"),
    ("6c", "treatments received", "Participants; treatment after the index date is not modelled"),
    ("7", "data preparation", "Source of data; Missing data"),
    ("8a-8c", "outcome, its assessment, blinding", "Question and outcome"),
    ("9a-9c", "predictors, their measurement and assessment", "Predictors"),
    ("10", "sample size", "Sample size"),
    ("11", "missing data", "Missing data"),
    ("12a-12c", "use of the data, predictors, type and building of the model", "Analysis"),
    (
        "12d",
        "heterogeneity between clusters",
        "External validation; Fairness, where a group is a payer",
    ),
    ("12e", "measures and plots of performance", "Analysis; Performance; plots beside this card"),
    ("12f", "recalibration and updating", "Updating"),
    ("12g", "how predictions are calculated", "Model"),
    ("13", "class imbalance", "Analysis"),
    ("14", "fairness", "Fairness"),
    ("15", "output of the model", "Model"),
    ("16", "differences between training and evaluation", "Analysis; Sample size"),
    ("17", "ethical approval", "Open science"),
    ("18a-18f", "funding, interests, protocol, registration, data, code", "Open science"),
    ("19", "involvement of patients and the public", "Open science"),
    ("20a-20c", "flow and characteristics of participants", "Sample size; Fairness"),
    ("21", "numbers of participants and events per analysis", "Sample size"),
    ("22", "specification of the model", "Model"),
    (
        "23a, 23b",
        "performance, also by group, and heterogeneity",
        "Performance; External validation; Fairness",
    ),
    ("24", "results of updating", "Updating"),
    ("25, 26", "interpretation and limitations", "Risk of bias; Limits"),
    ("27a-27c", "poor input, expertise of users, next steps", "Missing data; Intended use; Updating"),
)


def events_per_variable(model: RiskModel, metrics: Mapping[str, float]) -> float:
    """Events of the training side per candidate predictor; NaN when they are not known."""
    return metrics.get("train_events", float("nan")) / max(len(model.features), 1)


def concerns(model: RiskModel, metrics: Mapping[str, float]) -> list[str]:
    """What in the figures raises the risk of bias in PROBAST's domain of analysis, a sentence each."""
    found = []
    per_variable = events_per_variable(model, metrics)
    if per_variable != per_variable:
        found.append(
            "The number of training events is not known, so overfitting cannot be judged from it (4.1)."
        )
    elif per_variable < EVENTS_PER_VARIABLE:
        found.append(
            f"{per_variable:.1f} training events per candidate predictor are fewer than {EVENTS_PER_VARIABLE}: expect overfitting, held "
            "back only by the penalty or the depth of the estimator (4.1)."
        )
    events = metrics.get("test_events", 0.0)
    if events < VALIDATION_EVENTS:
        found.append(
            f"{events:.0f} events on the test side are fewer than {VALIDATION_EVENTS}: read intervals, not values (4.1)."
        )
    measured = [metrics.get(name, float("nan")) for name in ("auroc", "calibration_slope")]
    if any(value != value for value in measured):
        found.append("Discrimination and calibration could not both be measured (4.7).")
    champion = metrics.get("champion_gain_lower", float("nan"))
    if metrics.get("auroc_gain_lower", float("nan")) < 0:
        found.append(
            "The interval of the gain over the best baseline includes none: the simpler model may be as good."
        )
    if champion < 0:
        found.append(
            "The interval of the gain over the champion includes none: this version may be no better."
        )
    return found


def probast(model: RiskModel, metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """Domain and answer for each of PROBAST's four domains (Wolff 2019); what figures cannot tell is left to the reader."""
    found = concerns(model, metrics)
    said = " ".join(found) if found else "No concern follows from the figures."
    return [
        (
            "Participants",
            "Routine records of the senders of the lake, not recruited for this question; who is in is decided by the cohort's rule "
            "before the outcome is known. For the reader to judge: whether the people recorded there are those the model is used on.",
        ),
        (
            "Predictors",
            "Read by the same rule for everyone from what was recorded before the index date, so without knowledge of the outcome, and "
            "all at hand when a score is made. For the reader to judge: whether recording differs between senders.",
        ),
        (
            "Outcome",
            "Found by a rule in the records after the index date, the same for all, without a person's judgement and apart from the "
            "predictors. For the reader to judge: events treated outside the senders of the lake count as none.",
        ),
        (
            "Analysis",
            f"{said} Predictors are declared, not chosen by univariable tests (4.5); persons with several index dates are kept on one "
            "side and resampled whole (4.6); the test side took no part in fitting, tuning or calibration (4.8).",
        ),
    ]
