"""Declarations of risk models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carelake.core.table import Field, Table
from carelake.errors import DeclarationError
from carelake.ml.model import Covariates, Estimator, Feature, Gate, Kind, RiskModel

KEY = (Field("person_id", "bigint", "p"), Field("index_date", "date", "d"))
COHORT = Table(
    "gold/c", "c", (*KEY, Field("split", "string", "s"), Field("label", "boolean", "l")), ("person_id",)
)
FEATURES = Table("gold/f", "f", (*KEY, Field("x", "double", "x")), ("person_id",))
MODEL = RiskModel(
    "m", "an event", COHORT, FEATURES, (Feature("x", "x"),), (Estimator("logistic"),), (Gate("g", "auroc", at_least=0.5),),
    "a test", "nobody", (),
)  # fmt: skip


def test_a_wrong_declaration_is_refused_when_it_is_made() -> None:
    with pytest.raises(DeclarationError, match="no column y"):
        replace(MODEL, features=(Feature("y", "y"),))
    with pytest.raises(DeclarationError, match="no column label, split"):
        replace(MODEL, cohort=FEATURES)
    with pytest.raises(DeclarationError, match="unknown estimator magic"):
        replace(MODEL, estimator=(Estimator("magic"),))
    with pytest.raises(DeclarationError, match="gates"):
        replace(MODEL, gates=())
    sparse = Covariates(COHORT, FEATURES)
    assert [t.name for t in replace(MODEL, covariates=sparse).tables] == ["gold/f", "gold/c", "gold/c"]
    with pytest.raises(DeclarationError, match="only a logistic regression takes covariates"):
        replace(MODEL, covariates=sparse, estimator=(Estimator("logistic"), Estimator("boosted_trees")))
    with pytest.raises(DeclarationError, match="recalibrate_by names no group; there are sex"):
        replace(MODEL, groups={"sex": "sex"}, recalibrate_by="race")


def test_the_column_of_recalibration_is_that_of_its_group() -> None:
    assert MODEL.recalibrated_column is None
    assert replace(MODEL, groups={"sex": "s"}, recalibrate_by="sex").recalibrated_column == "group_sex"


def test_a_gate_holds_within_its_bounds_only_and_never_without_a_number() -> None:
    gate = Gate("slope", "s", at_least=0.5, at_most=2.0)
    assert [gate.holds({"s": v}) for v in (0.49, 0.5, 2.0, 2.01, float("nan"))] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert not gate.holds({})
    assert gate.rule == "s at least 0.5 and at most 2"


def test_reasons_say_the_direction_in_words() -> None:
    assert Feature("n", "visits", Kind.COUNT).above == "more visits than usual"
    assert Feature("n", "visits", Kind.COUNT).below == "fewer visits than usual"
    assert Feature("n", "diabetes", Kind.FLAG).above == "diabetes"
    assert Feature("n", "last visit", Kind.ELAPSED).above == "longer than usual since the last visit"
    assert Feature("n", "HbA1c").absent == "no recent HbA1c on record"
