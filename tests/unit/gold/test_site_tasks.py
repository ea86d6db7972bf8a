"""A site's own tasks: YAML and Circe files into declarations, and a reason for each that cannot be one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from carelake.errors import ConfigError, DeclarationError
from carelake.gold.cohorts.site_tasks import read
from carelake.gold.cohorts.task import COST, DEATH, Event, Task
from carelake.gold.features.value_sets import ValueSet
from carelake.models.site import site_models

if TYPE_CHECKING:
    from pathlib import Path

GOUT = """
name: gout_onset_1y
words: A first record of gout within a year
outcome:
  words: gout
  records:
    - {domain: condition, below: [440674], without_below: [4105177], names: gout, but_not: family}
months: 12
washout: true
ages: [18, 100]
intended_use: To offer a review of urate-lowering drugs.
population: Adults of our clinics.
"""


def circe(
    *items: dict[str, Any], criteria: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """A cohort definition in the form in which ATLAS exports it."""
    return {
        "cdmVersionRange": ">=5.0.0",
        "PrimaryCriteria": {
            "CriteriaList": criteria or [{"ConditionOccurrence": {"CodesetId": 0, "ConditionTypeExclude": False}}],
            "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
            "PrimaryCriteriaLimit": {"Type": "First"},
        },
        "ConceptSets": [{"id": 0, "name": "Gout", "expression": {"items": list(items)}}],
        "QualifiedLimit": {"Type": "First"},
        "ExpressionLimit": {"Type": "First"},
        "InclusionRules": [],
        "CensoringCriteria": [],
        "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
        "CensorWindow": {},
    } | more  # fmt: skip


def item(concept_id: int, **flags: bool) -> dict[str, Any]:
    return {"concept": {"CONCEPT_ID": concept_id, "CONCEPT_NAME": "x"}, "isExcluded": False, "includeDescendants": False, "includeMapped": False} | flags  # fmt: skip


def written(folder: Path, text: str, definition: dict[str, Any] | None = None) -> str:
    (folder / "gout.yaml").write_text(text, encoding="utf-8")
    if definition is not None:
        (folder / "gout.json").write_text(json.dumps(definition), encoding="utf-8")
    return str(folder)


def test_a_task_of_a_site_is_read_with_its_concepts_and_becomes_a_model(tmp_path: Path) -> None:
    folder = written(tmp_path, GOUT)
    (found,) = read(folder)
    assert (found.task.name, found.task.months, found.task.washout, found.task.ages) == (
        "gout_onset_1y",
        12,
        True,
        (18, 100),
    )
    (records,) = found.task.outcome.records
    assert records.concepts == ValueSet(
        "gout_onset_1y_outcome", "gout", "gout", "family", below=(440674,), without_below=(4105177,)
    )
    model = site_models(folder)["gout_onset_1y"]
    assert (model.task, model.population) == ("gout_onset_1y", "Adults of our clinics.")
    assert model.intended_use.startswith("To offer a review of urate-lowering drugs. A person decides")
    assert model.covariates is None


def test_a_site_may_ask_for_every_concept_beside_the_features(tmp_path: Path) -> None:
    model = site_models(written(tmp_path, GOUT + "covariates: true\n"))["gout_onset_1y"]
    assert {e.kind for e in model.estimator} == {"logistic"}
    assert [t.name for t in model.tables] == ["gold/person_features", "gold/task_cohort", "gold/covariate"]
    assert model.covariates is not None
    taken = {int(n) for n in re.findall(r"\d+", model.covariates.of.split(" IN ")[1])}
    # any time, long, medium, short of conditions, and abnormal results; no counts, no last values
    assert {101, 102, 103, 104, 753, 754} <= taken
    assert not {151, 705, 706, 752, 923} & taken
    with pytest.raises(ConfigError, match=r"gout.yaml: covariates is true or false"):
        read(written(tmp_path, GOUT + "covariates: sometimes\n"))


def test_a_task_may_ask_for_recalibration_by_a_group_of_the_audit_and_no_other(tmp_path: Path) -> None:
    assert site_models(written(tmp_path, GOUT))["gout_onset_1y"].recalibrate_by is None
    asked = written(tmp_path, GOUT + "recalibrate_by: svi\n")
    assert site_models(asked)["gout_onset_1y"].recalibrate_by == "svi"
    with pytest.raises(
        ConfigError, match=r"task gout_onset_1y: recalibrate_by names no group .* there are sex, age"
    ):
        site_models(written(tmp_path, GOUT + "recalibrate_by: postcode\n"))


def test_the_outcome_may_be_a_cohort_definition_of_atlas(tmp_path: Path) -> None:
    text = GOUT[: GOUT.index("  records")] + "  circe: gout.json\n" + GOUT[GOUT.index("months") :]
    definition = circe(
        item(440674, includeDescendants=True),
        item(7, isExcluded=True, includeDescendants=True),
        item(8, isExcluded=True),
        item(9),
    )
    (found,) = read(written(tmp_path, text, definition))
    event = found.task.outcome
    assert event.first
    assert event.records[0].domain == "condition"
    assert event.records[0].concepts == ValueSet(
        "gout_onset_1y_outcome", "gout", ids=(9,), below=(440674,), without_ids=(8,), without_below=(7,)
    )


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (circe(item(1), InclusionRules=[{"name": "two visits"}]), "InclusionRules is not supported"),
        (circe(item(1), CensoringCriteria=[{"Death": {}}]), "CensoringCriteria is not supported"),
        (circe(item(1, includeMapped=True)), "includeMapped of a concept set is not supported"),
        (circe(item(1), criteria=[{"Death": {"CodesetId": 0}}]), "CriteriaList.Death is not supported"),
        (
            circe(item(1), criteria=[{"DrugExposure": {"CodesetId": 0, "Age": {"Value": 5, "Op": "gt"}}}]),
            "DrugExposure.Age is not supported",
        ),
        (
            circe(item(1), criteria=[{"DrugExposure": {}}]),
            "DrugExposure without a concept set is not supported",
        ),
        (circe(item(1, isExcluded=True)), "a concept set includes no concept"),
        ({"no": "cohort"}, "is no cohort definition"),
    ],
)
def test_what_a_cohort_definition_asks_and_nobody_here_answers_is_refused_by_its_name(
    tmp_path: Path, definition: dict[str, Any], said: str
) -> None:
    text = GOUT[: GOUT.index("  records")] + "  circe: gout.json\n" + GOUT[GOUT.index("months") :]
    with pytest.raises(ConfigError, match=said):
        read(written(tmp_path, text, definition))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("months: 12", "month: 12", "unknown key 'month'"),
        ("months: 12", "months: 0", "has to end after it begins"),
        ("name: gout_onset_1y", "name: Gout", "small letters"),
        ("name: gout_onset_1y", "name: mortality_1y", "two tasks mortality_1y"),
        ("domain: condition", "domain: conditions", "no domain conditions"),
        ("intended_use: To offer a review of urate-lowering drugs.", "", "intended_use is missing"),
        ("names: gout", "names: \"gout' OR 'a\"", "quotation mark"),
        ("names: gout", "names: '(gout'", "no regular expression"),
        ("ages: [18, 100]", "ages: [100, 18]", "from the lower to the higher"),
    ],
)
def test_a_wrong_task_is_refused_with_the_key_and_the_reason(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(written(tmp_path, GOUT.replace(before, after)))


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no folder /nowhere/tasks"):
        read("/nowhere/tasks")


def test_an_amount_needs_the_share_that_counts_as_the_event() -> None:
    with pytest.raises(DeclarationError, match="top_share"):
        Task(name="t", words="w", outcome=Event(COST, "cost"), months=12)
    with pytest.raises(DeclarationError, match="top_share"):
        Task(name="t", words="w", outcome=Event(DEATH, "death"), months=12, top_share=0.1)


def test_a_model_recalibrated_by_race_does_not_say_that_race_plays_no_part(tmp_path: Path) -> None:
    def limits(by: str) -> str:
        return " ".join(
            site_models(written(tmp_path, GOUT + f"recalibrate_by: {by}\n"))["gout_onset_1y"].limits
        )

    assert "Race and ethnicity are not predictors" not in limits("race")
    assert "recalibrated by race" in limits("race")
    assert "Race and ethnicity are not predictors" in limits("sex")
    assert "recalibrated by sex" in limits("sex")
