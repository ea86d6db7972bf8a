"""When there is too little to learn from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carelake.ml.sizes import Sizes, refusal
from tests.unit.ml.test_risk_model import MODEL

ENOUGH = Sizes(rows=400, events=60, persons=100, with_event=40, without=90)


def test_enough_is_not_refused() -> None:
    assert refusal(MODEL, ENOUGH) == refusal(MODEL, ENOUGH, 90) == ""


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (Sizes(0, 0, 0, 0, 0), "no labelled row"),
        (Sizes(400, 0, 100, 0, 100), "one class only: of 400 rows, no row has the event"),
        (Sizes(400, 400, 100, 100, 0), "one class only: of 400 rows, every row has the event"),
        (replace(ENOUGH, with_event=9), "needs 10 persons with the event and 10 without; it has 9 and 90"),
        (replace(ENOUGH, without=4), "needs 10 persons with the event and 10 without; it has 40 and 4"),
    ],
)
def test_too_little_is_refused_with_the_numbers(sizes: Sizes, said: str) -> None:
    assert said in refusal(MODEL, sizes)


def test_folds_ask_for_as_many_persons_as_there_are_folds() -> None:
    few = replace(MODEL, min_events=1, folds=5)
    assert "needs 5 persons" in refusal(few, replace(ENOUGH, with_event=4))
    assert refusal(few, replace(ENOUGH, with_event=5)) == ""


def test_events_per_variable_are_persons_of_the_rarer_outcome_and_refuse_only_where_declared() -> None:
    assert ENOUGH.metrics(20)["events_per_variable"] == 2.0
    assert replace(ENOUGH, without=10).metrics(20)["events_per_variable"] == 0.5
    asked = replace(MODEL, min_events_per_variable=10.0)
    assert refusal(asked, ENOUGH, 4) == ""
    assert "2 events per variable (40 persons of the rarer outcome, 20 candidate variables); the model asks for 10" in refusal(asked, ENOUGH, 20)  # fmt: skip
