"""What a reviewer reads first."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from carelake.ml.describe import describe
from carelake.ml.explain import Importance
from carelake.ml.model import Gate
from tests.unit.ml.test_risk_model import MODEL

METRICS = {
    "train_rows": 300.0, "train_persons": 60.0, "train_events": 57.0, "events_per_variable": 0.3, "test_rows": 100.0,
    "test_persons": 30.0, "test_events": 20.0, "auroc": 0.71, "auroc_lower": 0.6, "auroc_upper": 0.8, "cv_auroc": 0.7,
}  # fmt: skip
GROUPS = [
    {"group": "sex", "level": "female", "auroc": 0.75},
    {"group": "sex", "level": "male", "auroc": 0.61},
    {"group": "race", "level": "rare", "auroc": None},
]
IMPORTANCES = (Importance("x", 0.1, 0.05, 0.15),)


def said(model=MODEL, groups=GROUPS, importances=IMPORTANCES, metrics=METRICS) -> str:  # type: ignore[no-untyped-def]
    return describe(
        model, metrics=metrics, groups=groups, importances=importances, estimator="logistic()", as_of=date(2024, 1, 2)
    )  # fmt: skip


def test_it_tells_use_population_quality_and_the_verdict() -> None:
    text = said()
    for part in (
        "# an event", "**Approved**", "a test", "nobody", "300 rows of 60 persons, 57 events; 0.300 persons of the rarer outcome",
        "As of 2024-01-02", "`logistic()`, AUROC 0.700", "AUROC 0.710 (0.600 to 0.800)", "Brier score not computable",
        "- x: AUROC falls by 0.100", "| g | auroc at least 0.5 | 0.710 | yes |",
    ):  # fmt: skip
        assert part in text


def test_other_sites_are_told_of_only_where_there_are_some() -> None:
    assert "fitted again" not in said()
    sites = METRICS | {
        "external_sites": 3.0, "external_auroc_mean": 0.7, "external_auroc_min": 0.6, "external_auroc_max": 0.75,
    }  # fmt: skip
    assert "- at 3 sites, fitted again without each: AUROC 0.700 on average, 0.600 to 0.750" in said(
        metrics=sites
    )


def test_groups_below_the_whole_are_named_and_small_ones_only_counted() -> None:
    text = said()
    assert "- sex male: AUROC 0.610, 0.100 below the whole" in text
    assert "female" not in text
    assert "rare" not in text.replace("rarer", "")
    assert "1 of 3 levels of groups are too small" in text
    assert "No group can be judged." in said(groups=GROUPS[2:])
    assert "No group that can be judged is below the whole." in said(groups=GROUPS[:1])


def test_a_gate_that_does_not_hold_says_why_there_is_no_champion() -> None:
    text = said(replace(MODEL, gates=(*MODEL.gates, Gate("calibrated", "calibration_slope", at_least=0.5))))
    assert "**Not approved**: 1 of 2 gates do not hold" in text
    assert "| calibrated | calibration_slope at least 0.5 | not computable | no |" in text
