"""Stages of versions in a real registry (SQLite); no model is needed for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.errors import ConfigError, QualityGateError, RegistryError
from carelake.ml import registry, stages
from carelake.ml.model import Gate
from carelake.ml.tracking import Tracking, _in_words, session

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "carelake.planted"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("registry")
    return Tracking(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))


@pytest.fixture
def name(store: Tracking, request: pytest.FixtureRequest) -> str:
    """A registered model of its own for each test."""
    own = f"{_NAME}.{request.node.name}"
    with session(store) as client:
        client.create_registered_model(own)
    return own


def add(store: Tracking, name: str, *, approved: bool = True, finished: bool = True, due: str = "") -> str:
    """A version as a training leaves it."""
    with session(store) as client:
        found = client.get_experiment_by_name("planted")
        experiment = (
            found.experiment_id if found else client.create_experiment("planted", store.artifact_root)
        )
        run = client.create_run(experiment)
        version = str(
            client.create_model_version(
                name, f"{store.artifact_root}/{run.info.run_id}", run.info.run_id
            ).version
        )
        tags = {
            "approved": str(approved).lower(),
            "gates_failed": "none" if approved else "slope",
            "stage": "candidate",
        }
        for key, value in (tags | ({"promotion": due} if due else {})).items():
            client.set_model_version_tag(name, version, key, value)
        if finished:
            client.set_terminated(run.info.run_id)
    return version


def stage_of(store: Tracking, name: str) -> dict[str, str]:
    return {v.version: v.stage for v in registry.listing(store, name)}


def test_a_second_champion_archives_the_first_and_the_history_says_why(store: Tracking, name: str) -> None:
    for _ in range(2):
        registry.promote(store, name, add(store, name), "every gate holds")
    assert stage_of(store, name) == {"1": "archived", "2": "champion"}
    told = registry.history(store, name)
    assert [(t.version, t.stage) for t in told] == [("1", "champion"), ("1", "archived"), ("2", "champion")]
    assert told[1].reason == "version 2 became champion: every gate holds"
    assert all(t.at.endswith("+00:00") for t in told)


def test_rollbacks_go_back_one_by_one_and_not_to_and_fro(store: Tracking, name: str) -> None:
    for _ in range(3):
        registry.promote(store, name, add(store, name), "every gate holds")
    assert registry.roll_back(store, name, "too many alarms") == ("3", "2")
    assert registry.roll_back(store, name, "still") == ("2", "1")
    assert stage_of(store, name) == {"1": "champion", "2": "archived", "3": "archived"}
    with pytest.raises(ConfigError, match="no version was champion before version 1"):
        registry.roll_back(store, name, "again")


def test_after_a_rollback_the_next_champion_is_followed_back_to_the_one_rolled_back_to(
    store: Tracking, name: str
) -> None:
    for _ in range(2):
        registry.promote(store, name, add(store, name), "every gate holds")
    registry.roll_back(store, name, "worse")
    registry.promote(store, name, add(store, name), "every gate holds")
    assert registry.roll_back(store, name, "worse too") == ("3", "1")


def test_without_a_champion_there_is_nothing_to_roll_back(store: Tracking, name: str) -> None:
    add(store, name)
    with pytest.raises(ConfigError, match="has no champion"):
        registry.roll_back(store, name, "why")


def test_a_version_that_failed_a_gate_is_not_promoted_by_anyone(store: Tracking, name: str) -> None:
    version = add(store, name, approved=False)
    with pytest.raises(QualityGateError, match="it failed slope") as refused:
        registry.promote(store, name, version, "I want it")
    assert refused.value.exit_code == 13
    assert stage_of(store, name) == {"1": "candidate"}
    with pytest.raises(ConfigError, match="has no version 7"):
        registry.promote(store, name, "7", "")


def test_a_promotion_that_a_death_cut_short_is_ended_and_noted_once(store: Tracking, name: str) -> None:
    registry.promote(store, name, add(store, name), "every gate holds")
    version = add(store, name, due="every gate holds")
    with session(store) as client:  # it died after the alias, before the tags
        client.set_registered_model_alias(name, "champion", version)
        for _ in range(2):
            stages.settle_all(client, name)
    assert stage_of(store, name) == {"1": "archived", "2": "champion"}
    assert [(t.version, t.stage) for t in registry.history(store, name)] == [
        ("1", "champion"),
        ("1", "archived"),
        ("2", "champion"),
    ]
    with session(store) as client:
        assert "promotion" not in client.get_model_version(name, version).tags


def test_what_a_run_that_did_not_end_made_is_neither_promoted_nor_listed(store: Tracking, name: str) -> None:
    add(store, name, finished=False, due="every gate holds")
    with session(store) as client:
        stages.settle_all(client, name)
        assert stages.champion(client, name) is None
    assert registry.listing(store, name) == []


def test_a_champion_from_before_histories_can_be_gone_back_to(store: Tracking, name: str) -> None:
    first = add(store, name)
    with session(store) as client:
        client.set_registered_model_alias(name, "champion", first)
        client.delete_model_version_tag(name, first, "stage")
    registry.promote(store, name, add(store, name), "every gate holds")
    assert registry.roll_back(store, name, "why") == ("2", "1")


def test_an_unknown_model_has_no_versions_and_no_history(store: Tracking) -> None:
    assert registry.listing(store, "carelake.nobody") == []
    assert registry.history(store, "carelake.nobody") == []


@pytest.mark.parametrize(("gain", "worse"), [(None, False), (0.01, False), (-0.05, False), (-0.051, True)])
def test_a_new_champion_may_be_worse_by_the_declared_margin_at_most(gain: float | None, worse: bool) -> None:
    metrics = {} if gain is None else {"champion_gain_lower": gain}
    assert (stages.worse_than_champion(metrics) is not None) == worse


def test_gates_are_noted_with_value_and_rule() -> None:
    told = registry.gate_tags(
        (Gate("good", "auroc", at_least=0.6), Gate("sloped", "slope", at_most=2.0)), {"auroc": 0.71234567}
    )
    assert told == {
        "gate.good": "0.712346; auroc at least 0.6; holds",
        "gate.sloped": "nan; slope at most 2; does not hold",
    }


def test_metrics_are_compared_by_name_within_a_bound() -> None:
    was = {"auroc": 0.7, "brier": 0.1, "lost": 1.0, "champion_gain": 0.2, "fit_seconds": 3.0}
    now = {"auroc": 0.7 + 5e-10, "brier": 0.1 + 5e-9, "new": 1.0, "fit_seconds": 4.0}
    assert registry.compared(was, now, 1e-9) == (["brier", "lost", "new"], 4)


def test_a_server_is_named_without_its_password(tmp_path: Path) -> None:
    import requests

    told = _in_words(requests.ConnectionError("refused"), "https://me:secret@mlflow.example:5000/x")
    assert isinstance(told, RegistryError)
    assert "https://mlflow.example:5000 cannot be reached" in str(told)
    assert "secret" not in str(told)
    assert _in_words(ValueError("x"), "https://mlflow.example") is None
