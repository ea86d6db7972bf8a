"""The job that lists models, on the command line, without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.app import main, parser
from carelake.errors import UsageError
from carelake.lifecycle import lines
from carelake.ml.registry import Listed

if TYPE_CHECKING:
    from pathlib import Path


def test_a_lake_that_never_trained_says_so_and_nothing_is_made_by_looking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["models", "--lake", str(tmp_path / "lake")], {}) == 0
    assert "acute_care_1y: not trained yet" in capsys.readouterr().out.splitlines()
    assert not list(tmp_path.iterdir())


def test_an_unknown_model_is_a_matter_of_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--lake", str(tmp_path), "--model", "nobody"], {}) == 10
    assert "no model nobody; there are " in capsys.readouterr().err


def test_a_store_without_a_tracking_server_is_refused_before_anything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["models", "--lake", "s3a://bucket/lake"], {}) == 10
    assert "needs MLFLOW_TRACKING_URI" in capsys.readouterr().err


def test_to_roll_back_and_to_promote_at_once_is_wrong() -> None:
    with pytest.raises(UsageError, match="not allowed with"):
        parser("models").parse_args(["--rollback", "a", "--promote", "a=1"])


def test_a_line_says_stage_since_when_why_figures_and_what_failed() -> None:
    metrics = {"auroc": 0.7, "auroc_lower": 0.65, "auroc_upper": 0.75, "brier": 0.1}
    champion = Listed(
        "2",
        "champion",
        "2024-01-02T03:04:05+00:00",
        "every gate holds",
        True,
        "none",
        "",
        "yes",
        "abc",
        metrics,
    )
    failed = Listed("1", "candidate", "", "", False, "slope", "", "", "def", {})
    assert lines({"toy": [champion, failed], "other": []}) == [
        "other: not trained yet",
        "toy 2: champion since 2024-01-02T03:04:05+00:00 (every gate holds); approved; auroc 0.700 (0.650 to 0.750), brier 0.100; "
        "run abc; reproducible: yes",
        "toy 1: candidate; NOT approved, failed slope; no metrics; run def",
    ]
