"""Take the pictures of docs/mlflow.md from the MLflow UI of a lake: `PYTHONPATH=. python docs/mlflow_screenshots.py LAKE MODEL`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.helpers.mlflow_server import served

OUT = Path(__file__).parent / "mlflow"
PATIENCE = 120_000  # ms
SETTLED = 12_000  # ms: the pages ask again and again, so none is ever quiet


def main(lake: Path, model: str) -> None:
    """Pictures of the experiment, a run's overview, card, plots, and the registered model."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{lake}/mlflow/mlflow.db")
    client = mlflow.MlflowClient()
    newest = client.search_model_versions(f"name = 'carelake.{model}'")[0]
    experiment = client.get_run(newest.run_id).info.experiment_id
    run = f"/#/experiments/{experiment}/runs/{newest.run_id}"
    pages = {
        "experiment": f"/#/experiments/{experiment}/runs?workflowType=machine_learning",
        "run": run,
        "card": f"{run}/artifacts/card.md",
        "calibration": f"{run}/artifacts/plots/calibration.png",
        "decision_curve": f"{run}/artifacts/plots/decision_curve.png",
        "groups": f"{run}/artifacts/plots/groups.png",
        "model": f"/#/models/carelake.{model}",
        "version": f"/#/models/carelake.{model}/versions/{newest.version}",
    }
    OUT.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as scratch,
        served(lake / "mlflow" / "mlflow.db", Path(scratch)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        window = browser.new_page(viewport={"width": 1500, "height": 950})
        window.set_default_timeout(PATIENCE)
        for name, path in pages.items():
            window.goto("about:blank")
            window.goto(f"{address}{path}")
            window.wait_for_timeout(SETTLED)
            assistant = window.locator(
                "[aria-label='Close'], [data-component-id*='assistant'][data-component-id*='close']"
            )
            if assistant.count():
                assistant.first.click()
                window.wait_for_timeout(1000)
            window.screenshot(path=OUT / f"{name}.png")
            print(OUT / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2])
