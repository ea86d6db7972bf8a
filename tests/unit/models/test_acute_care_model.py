"""The declaration of the acute care model: what it may look at, and what holds it back."""

from carelake.models.acute_care_1y import ACUTE_CARE_1Y as MODEL


def test_no_predictor_is_what_fairness_is_judged_by():
    assert not {f.name for f in MODEL.features} & {"sex", "race", "ethnicity"}
    assert set(MODEL.groups) == {"sex", "age", "race", "ethnicity"}


def test_no_predictor_is_named_twice_or_is_the_answer():
    names = [f.name for f in MODEL.features]
    assert len(names) == len(set(names))
    assert not set(names) & {"label", "label_observed", "days_to_event", "died", "split", "followup_days"}


def test_a_model_no_better_than_chance_or_than_age_and_sex_does_not_pass():
    good = {
        "test_events": 200.0, "auroc": 0.75, "auroc_lower": 0.7, "auroc_gain": 0.05,
        "calibration_slope": 1.0, "calibration_intercept": 0.0,
    }  # fmt: skip
    refused = {
        name: [g.name for g in MODEL.gates if not g.holds(good | change)]
        for name, change in {
            "good": {},
            "chance": {"auroc": 0.5, "auroc_lower": 0.45},
            "no better than age and sex": {"auroc_gain": -0.01},
            "too few events": {"test_events": 19.0},
            "overconfident": {"calibration_slope": 0.4},
        }.items()
    }
    assert refused == {
        "good": [],
        "chance": ["discriminates", "acceptable_auroc"],
        "no better than age and sex": ["beats_age_and_sex"],
        "too few events": ["enough_events"],
        "overconfident": ["calibrated_slope"],
    }
