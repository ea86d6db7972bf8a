"""The tour runs from its first cell to its last on a lake of the bundled sample."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.scored_lake import scored_lake

if TYPE_CHECKING:
    from nbformat import NotebookNode

TOUR = Path(__file__).resolve().parents[2] / "notebooks" / "01_tour.ipynb"


@pytest.fixture
def tour() -> NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def test_tour_is_committed_without_outputs_and_every_cell_of_code_has_a_sentence(tour: NotebookNode) -> None:
    code = [i for i, c in enumerate(tour.cells) if c.cell_type == "code"]
    assert all(not tour.cells[i].outputs and tour.cells[i].execution_count is None for i in code)
    assert all(tour.cells[i - 1].cell_type == "markdown" for i in code)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # the lake is made first
def test_tour_follows_a_patient_to_the_score(
    tour: NotebookNode,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a kernel of this interpreter, whatever kernels the machine's Jupyter knows
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = f'["{sys.executable}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
    (kernel / "kernel.json").write_text(
        f'{{"argv": {command}, "display_name": "Python 3", "language": "python"}}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("CARELAKE_LAKE", str(scored_lake(tmp_path_factory)))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    NotebookClient(
        tour, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [o for c in tour.cells if c.cell_type == "code" for o in c.outputs]
    text = "".join(o.text for o in shown if o.output_type == "stream" and o.name == "stdout")
    assert "Condition.ndjson.gz, byte " in text
    assert "computed again the same: True" in text
    assert "the same line: True" in text
    assert "approved: " in text
    assert "rank " in text
    assert sum("image/png" in o.get("data", {}) for o in shown) == 3
