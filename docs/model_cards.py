"""Write docs/models/: the card of each model's newest version in a lake, and the table of all: `python docs/model_cards.py LAKE JSON_OF_TRAIN`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import mlflow
from deltalake import DeltaTable

OUT = Path(__file__).parent / "models"
HEAD = """# Models: what they learned from a synthetic population

Cards as `train` wrote them, unchanged, from {people} people made by Synthea 3.3.0 (two runs, seeds 1 and 2, Massachusetts, to 2024-09-01), CSV, with the bundled open vocabulary.
**Every figure is about synthetic people.** Synthea draws diseases from modules with fixed rates: much of what happens to a person is chance that no model can know, and
what can be known is less tangled than in life. The figures show that the machinery works and how it reports; they say nothing about patients.

| model | version | approved | test events | AUROC (95 %) | best baseline | calibration slope | gates that failed, or why it was not trained |
|---|---|---|---|---|---|---|---|
"""


def main(lake: Path, note: Path) -> None:
    """One page per trained model and README.md."""
    mlflow.set_tracking_uri(f"sqlite:///{lake}/mlflow/mlflow.db")
    client = mlflow.MlflowClient()
    said = json.loads(note.read_text(encoding="utf-8"))
    people = DeltaTable(lake / "silver/omop/person").to_pyarrow_table(columns=["person_id"]).num_rows
    lines = []
    OUT.mkdir(exist_ok=True)
    for m in sorted(said["models"], key=lambda m: str(m["name"])):
        if m["version"] is None:
            lines.append(f"| {m['name']} | | | | | | | not trained: {m['why_not']} |")
            continue
        found = client.get_model_version(f"carelake.{m['name']}", m["version"])
        card = mlflow.artifacts.download_artifacts(run_id=found.run_id, artifact_path="card.md")
        shutil.copyfile(card, OUT / f"{m['name']}.md")
        x = m["metrics"]
        interval = (
            f"{x['auroc']:.3f} ({x['auroc_lower']:.3f} to {x['auroc_upper']:.3f})"
            if "auroc_lower" in x
            else "not computable"
        )
        failed = ", ".join(g for g, holds in m["gates"].items() if not holds) or "none"
        lines.append(
            f"| [{m['name']}]({m['name']}.md) | {m['version']} | {'yes' if m['approved'] else '**no**'} | {x['test_events']:.0f} | {interval} | "
            f"{x['baseline_auroc']:.3f} | {x.get('calibration_slope', float('nan')):.2f} | {failed} |"
        )
    (OUT / "README.md").write_text(
        HEAD.format(people=f"{people:,}") + "\n".join(lines) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))
