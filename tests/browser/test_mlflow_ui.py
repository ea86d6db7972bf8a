"""MLflow's own user interface on the lake's runs: what a person finds there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.mlflow_server import served
from tests.helpers.scored_lake import MODEL, database, run_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the lake is made first
_PATIENCE = 120_000  # ms; a bound, no expectation


@pytest.fixture(scope="module")
def server(scored_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's server as the README starts it; ended with its workers."""
    with served(database(scored_lake), tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def ui(window: Page, server: str) -> Iterator[Page]:
    """A window that may ask nobody but the server."""
    window.set_default_timeout(_PATIENCE)
    asked: list[str] = []
    window.on("request", lambda r: asked.append(r.url))
    yield window
    assert [u for u in asked if not u.startswith((server, "data:", "blob:"))] == []


def test_experiment_lists_the_run(ui: Page, server: str, tmp_path: Path) -> None:
    ui.goto(f"{server}/#/experiments/1/runs?workflowType=machine_learning")
    ui.get_by_role("link", name=MODEL).first.wait_for()
    ui.screenshot(path=tmp_path / "experiment.png")
    assert "carelake/acute_care_1y" in ui.inner_text("body")


def test_run_shows_its_metrics(ui: Page, server: str, scored_lake: Path, tmp_path: Path) -> None:
    ui.goto(f"{server}/#/experiments/1/runs/{run_id(scored_lake)}")
    ui.get_by_text("auroc_lower", exact=True).first.wait_for()
    ui.screenshot(path=tmp_path / "run.png")
    text = ui.inner_text("body")
    for metric in ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept", "test_events"):
        assert f"\n{metric}\n" in text


@pytest.mark.parametrize("name", ["roc", "pr", "calibration"])
def test_plot_is_drawn(ui: Page, server: str, scored_lake: Path, tmp_path: Path, name: str) -> None:
    ui.goto(f"{server}/#/experiments/1/runs/{run_id(scored_lake)}/artifacts/plots/{name}.png")
    ui.get_by_text(f"artifacts/plots/{name}.png").first.wait_for()
    ui.wait_for_function("[...document.images].some(i => i.naturalWidth >= 300 && i.naturalHeight >= 300)")
    ui.screenshot(path=tmp_path / f"{name}.png")


def test_model_card_can_be_read(ui: Page, server: str, scored_lake: Path, tmp_path: Path) -> None:
    ui.goto(f"{server}/#/experiments/1/runs/{run_id(scored_lake)}/artifacts/card.md")
    ui.get_by_text("Model card: acute_care_1y").first.wait_for()
    ui.screenshot(path=tmp_path / "card.png")
    assert "SYNTHETIC" in ui.inner_text("body")


def test_registered_model_has_a_version_that_says_whether_it_is_approved(
    ui: Page, server: str, tmp_path: Path
) -> None:
    ui.goto(f"{server}/#/models/{MODEL}")
    ui.get_by_text("Version 1", exact=True).first.wait_for()
    ui.screenshot(path=tmp_path / "model.png")
    text = ui.inner_text("body")
    assert MODEL in text
    assert "approved" in text
