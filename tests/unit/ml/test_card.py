"""The model card answers what TRIPOD+AI and PROBAST ask, from the declaration and the figures, also when there are few."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from carelake.core.table import Field, Table
from carelake.ml.card import card
from carelake.ml.evaluate import HeldOut, by_group, evaluate
from carelake.ml.external import External
from carelake.ml.model import Estimator, Feature, Gate, RiskModel
from carelake.ml.tripod import TRIPOD_AI, concerns

KEY = (Field("person_id", "bigint", "p"), Field("index_date", "date", "d"))
MODEL = RiskModel(
    name="toy", target="An event within a year",
    cohort=Table("gold/c", "Everyone with a visit.", (*KEY, Field("split", "string", "s"), Field("label", "boolean", "l")), ("person_id",)),
    feature_table=Table("gold/f", "What was known before.", (*KEY, Field("x", "double", "x"), Field("y", "double", "y")), ("person_id",)),
    features=(Feature("x", "visits"), Feature("y", "HbA1c", unit="%")),
    estimator=(Estimator("logistic"),),
    gates=(Gate("enough", "test_events", at_least=20), Gate("discriminates", "auroc_lower", at_least=0.5)),
    intended_use="To order a list of calls.", population="SYNTHETIC people.", limits=("None of it is real.",), baselines={"y": ("y",)},
    groups={"sex": "sex"},
)  # fmt: skip


def written(model: RiskModel = MODEL, **change: Any) -> str:
    given: dict[str, Any] = {
        "metrics": {}, "params": {}, "failed": [], "groups": [], "tables": {}, "as_of": date(2024, 5, 1), "release": "1.2.3",
    }  # fmt: skip
    return card(model, **given | change)


def section(text: str, title: str) -> str:
    """What stands below a heading."""
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def a_test_side(rows: int = 1200) -> HeldOut:
    random = np.random.default_rng(3)
    score = random.random(rows) * 0.6
    label = (random.random(rows) < score).astype(float)
    sex = np.where(np.arange(rows) < 8, "o|ther", np.where(random.random(rows) < 0.5, "female", "male"))
    return HeldOut(
        np.arange(rows), label, score, {"prevalence": np.full(rows, 0.3), "age_sex": random.random(rows)}, {"sex": sex},
        np.where(label > 0, 90.0, np.nan), score,
    )  # fmt: skip


def test_every_item_of_tripod_is_answered_in_a_section_that_is_there() -> None:
    asked: set[int] = set()
    for item, _, _ in TRIPOD_AI:
        numbers = [int(n) for n in re.findall(r"\d+", item)]
        asked |= set(range(min(numbers), max(numbers) + 1))
    assert asked == set(range(1, 28))
    titles = re.findall(r"^## (.+)$", written(), flags=re.MULTILINE)
    for _, _, answer in TRIPOD_AI[1:]:
        places = [part.split(",")[0].strip() for part in answer.split(";")]
        assert any(title.startswith(place) for place in places for title in titles), answer


def test_the_declaration_is_in_its_sections() -> None:
    text = written(
        tables={"gold/f": 3, "gold/c": 4}, params={"estimator": "logistic(x=1)", "class_weights": "balanced"}
    )
    assert text.startswith("# Model card: toy\n")
    assert "To order a list of calls." in section(text, "Intended use")
    assert "An event within a year.\n\nCohort `gold/c`: Everyone with a visit." in section(
        text, "Question and outcome"
    )
    assert "SYNTHETIC people." in section(text, "Participants")
    assert "carelake 1.2.3; as of 2024-05-01" in section(text, "Source of data")
    assert "`gold/c` 4, `gold/f` 3." in section(text, "Source of data")
    assert "2 candidates, all from before the index date: visits, HbA1c (%)." in section(text, "Predictors")
    assert "- class weights: balanced" in section(text, "Analysis")
    assert "Estimator: logistic(x=1)." in section(text, "Model")
    assert "- None of it is real." in section(text, "Limits")


def test_the_verdict_is_that_of_the_gates() -> None:
    assert "**Approved**" in written()
    text = written(failed=["gate enough does not hold"], metrics={"test_events": 19.0, "auroc_lower": 0.61})
    assert "**NOT approved**: gate enough does not hold." in text
    assert "| enough | test_events at least 20 | 19 | **no** |" in text
    assert "| discriminates | auroc_lower at least 0.5 | 0.610 | yes |" in text


def test_figures_stand_with_their_intervals() -> None:
    metrics = {
        "auroc": 0.71234, "auroc_lower": 0.65, "auroc_upper": 0.77, "baseline_age_sex_auroc": 0.6, "champion_auroc": 0.7,
        "test_rows": 1200.0, "test_persons": 1100.0, "test_events": 130.0, "sensitivity_top_05": 0.2, "ppv_top_05": 0.25,
        "ppv_top_05_lower": 0.1, "ppv_top_05_upper": 0.4, "number_needed_top_05": 4.0, "net_benefit_20": 0.0123,
    }  # fmt: skip
    text = section(written(metrics=metrics), "Performance")
    assert "(1,200 rows of 1,100 persons, 130 events)" in text
    assert "| AUROC | 0.712 | 0.650 to 0.770 |" in text
    assert "| AUROC of the baseline age sex | 0.600 |  |" in text
    assert "| AUROC of the champion | 0.700 |  |" in text
    assert "| 5 % | 0.200 | 0.250 (0.100 to 0.400) | 4.0 | not computable |" in text
    assert "| 20 % | 0.012 | not computable | not computable |" in text


def test_a_card_without_a_figure_or_a_row_says_so() -> None:
    for metrics in ({}, {"auroc": float("nan"), "auroc_lower": float("nan"), "test_rows": 0.0}):
        text = written(metrics=metrics)
        assert "There is no row on the test side" in text
        assert "| AUROC | not computable |  |" in text
        assert "AUROC of the champion" not in text
        assert "No group was examined" in section(text, "Fairness")
        assert "nan" not in text
    none = np.empty(0)
    empty = HeldOut(np.empty(0, np.int64), none, none, {}, {"sex": np.empty(0, str)})
    assert "no row on the test side" in written(metrics=evaluate(empty, 1), groups=by_group(empty, 1))


def test_suppressed_cells_are_dashes_and_a_level_cannot_break_the_table() -> None:
    t = a_test_side()
    text = section(written(metrics=evaluate(t, 1, 20), groups=by_group(t, 1, 20)), "Fairness")
    rows = [line for line in text.splitlines() if line.startswith("| sex | ")]
    assert len(rows) == 3
    assert {line.count("|") for line in rows} == {13}
    other = next(line for line in rows if "o/ther" in line)
    assert other == "| sex | o/ther |" + " - |" * 10
    # the smaller of the other two covers it
    assert sum(line.endswith(" - |" * 10) for line in rows) == 2
    assert "No two levels of a group are shown" in text


def test_the_strongest_twenty_predictors_are_listed() -> None:
    many = [(f"feature {i}", 0.01 * i * (-1) ** i, 0.0, 1.0) for i in range(30)]
    text = section(written(importances=many), "Model")
    listed = re.findall(r"^\| feature (\d+) \|", text, flags=re.MULTILINE)
    assert listed == [str(i) for i in range(29, 9, -1)]
    assert "| feature 29 | -0.2900 | 0.0000 to 1.0000 |" in text
    assert "strongest" not in section(written(), "Model")


def test_a_long_list_of_predictors_is_cut() -> None:
    many = replace(MODEL, features=tuple(Feature("x", f"word {i}") for i in range(130)))
    text = section(written(many), "Predictors")
    assert "word 119 and 10 more" in text
    assert "word 120" not in text


def test_what_raises_the_risk_of_bias_is_said_with_its_number() -> None:
    good = {
        "train_events": 40.0, "test_events": 100.0, "auroc": 0.7, "calibration_slope": 1.0, "auroc_gain_lower": 0.01, "champion_gain_lower": 0.0,
    }  # fmt: skip
    assert concerns(MODEL, good) == []
    assert "No concern follows from the figures." in section(written(metrics=good), "Risk of bias (PROBAST)")
    for change, words in (
        ({"train_events": 19.0}, "9.5 training events per candidate predictor are fewer than 10"),
        ({"train_events": float("nan")}, "number of training events is not known"),
        ({"test_events": 99.0}, "99 events on the test side are fewer than 100"),
        ({"auroc": float("nan")}, "could not both be measured"),
        ({"auroc_gain_lower": -0.01}, "over the best baseline"),
        ({"champion_gain_lower": -0.01}, "over the champion"),
    ):
        found = concerns(MODEL, good | change)
        assert len(found) == 1
        assert words in found[0]
    text = section(written(metrics=good | {"train_events": 19.0}), "Risk of bias (PROBAST)")
    assert [line[:6] for line in text.strip().splitlines()] == ["- **Pa", "- **Pr", "- **Ou", "- **An"]
    assert "9.5 training events" in text


def test_events_per_variable_and_sizes_are_in_the_card() -> None:
    text = section(
        written(metrics={"train_rows": 500.0, "train_events": 31.0, "test_rows": 9.0, "test_events": 2.0}),
        "Sample size",
    )
    assert "| training | 500 | not recorded | 31 |" in text
    assert "| test | 9 | not recorded | 2 |" in text
    assert "per candidate predictor: 15.5." in text
    assert "no row on the test side" not in text


@pytest.mark.parametrize("given", ["dropped", None])
def test_how_missing_data_were_handled_can_be_said_by_the_run(given: str | None) -> None:
    text = section(written(params={"missing_data": given} if given else {}), "Missing data")
    assert text.strip() == given if given else "takes the median" in text


def test_sites_that_took_no_part_in_the_fit_stand_with_their_range() -> None:
    one = {
        "site": "site 1", "rows": 1400, "persons": 300, "events": 40, "auroc": 0.71, "auroc_lower": 0.6, "auroc_upper": 0.8,
        "observed_expected": 1.2, "calibration_slope": float("nan"),
    }  # fmt: skip
    two = one | {"site": "site 2", "rows": None, "persons": None, "events": None, "auroc": 0.65}
    external = External((one, two), 7)
    text = section(written(external=external, metrics=external.metrics()), "External validation")
    assert "| site 1 | 1,400 | 300 | 40 | 0.710 (0.600 to 0.800) | 1.200 | - |" in text
    assert "| site 2 | - | - | - | 0.650 (0.600 to 0.800) |" in text
    assert "2 largest sites of 7" in text
    assert "| AUROC | 0.680 | 0.650 | 0.710 |" in text
    assert "| calibration slope | not computable | not computable | not computable |" in text


def test_a_model_that_was_not_tested_elsewhere_says_why() -> None:
    assert "it declares no site" in section(written(), "External validation")
    text = section(written(external=External((), 1, "1 of 1 sites have enough")), "External validation")
    assert text.strip().endswith("took no part in its fit: 1 of 1 sites have enough.")


def test_recalibration_by_a_group_is_said_with_its_caution() -> None:
    text = written(replace(MODEL, recalibrate_by="sex"), params={"recalibrated_by": "sex"})
    assert "**Recalibrated by sex**" in section(text, "Updating")
    assert "policy decision" in section(text, "Updating")
    assert "The score also depends on sex" in section(text, "Predictors")
    assert "- recalibrated by: sex" in section(text, "Analysis")
    assert "which this model does not take" in section(written(), "Updating")
    assert "Recalibrated" not in section(written(), "Updating")
