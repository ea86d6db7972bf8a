"""The declarations of the models: what they may look at, and what holds them back."""

import pytest

from carelake.gold.cohorts.tasks import TASKS
from carelake.ml.model import RiskModel
from carelake.models.acute_care_1y import ACUTE_CARE_1Y as MODEL
from carelake.models.heart_failure_onset_1y import HEART_FAILURE_ONSET_1Y
from carelake.models.high_cost_next_year import HIGH_COST_NEXT_YEAR
from carelake.models.hypoglycaemia_next_week import HYPOGLYCAEMIA_NEXT_WEEK
from carelake.models.mortality_1y import MORTALITY_1Y
from carelake.models.readmission_30d import READMISSION_30D
from carelake.models.type2_diabetes_onset_2y import TYPE_2_DIABETES_ONSET_2Y

MODELS = (
    MODEL, HEART_FAILURE_ONSET_1Y, HIGH_COST_NEXT_YEAR, HYPOGLYCAEMIA_NEXT_WEEK, MORTALITY_1Y, READMISSION_30D, TYPE_2_DIABETES_ONSET_2Y,
)  # fmt: skip


def test_every_task_that_ships_has_a_model():
    assert sorted(m.task or "" for m in MODELS) == sorted(t.name for t in TASKS)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_no_predictor_is_what_fairness_is_judged_by(model: RiskModel):
    assert not {f.name for f in model.features} & {
        "sex",
        "race",
        "ethnicity",
        "payer",
        "svi_quartile",
        "care_site",
    }
    assert set(model.groups) >= {"sex", "age", "race", "ethnicity", "payer", "svi"}


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_no_predictor_is_named_twice_or_is_the_answer(model: RiskModel):
    names = [f.name for f in model.features]
    assert len(names) == len(set(names))
    assert not set(names) & set(model.cohort.columns)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_use_population_and_limits_are_said_of_every_model(model: RiskModel):
    assert "A person decides on every contact" in model.intended_use
    assert "SYNTHETIC" in model.population
    assert len(model.limits) > 5


def test_a_model_no_better_than_chance_or_than_the_baselines_does_not_pass():
    good = {
        "test_events": 200.0, "auroc": 0.75, "auroc_lower": 0.7, "auroc_gain": 0.05,
        "calibration_slope": 1.0, "calibration_intercept": 0.0,
    }  # fmt: skip
    refused = {
        name: [g.name for g in MODEL.gates if not g.holds(good | change)]
        for name, change in {
            "good": {},
            "chance": {"auroc": 0.5, "auroc_lower": 0.45},
            "no better than the baselines": {"auroc_gain": -0.01},
            "too few events": {"test_events": 19.0},
            "overconfident": {"calibration_slope": 0.4},
        }.items()
    }
    assert refused == {
        "good": [],
        "chance": ["discriminates", "acceptable_auroc"],
        "no better than the baselines": ["beats_the_baselines"],
        "too few events": ["enough_events"],
        "overconfident": ["calibrated_slope"],
    }
