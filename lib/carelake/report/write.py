"""Write the report of what was published last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.ml.tracking import current, read_artifacts
from carelake.report.facts import GateFacts, ModelFacts, gather
from carelake.report.page import PLOTS, page
from carelake.report.usagi import write as write_worklist

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table
    from carelake.ml.model import RiskModel
    from carelake.ml.tracking import Tracking

PLACE = "report/index.html"


def write(
    lake: DeltaLake,
    omop: Iterable[Table],
    models: Iterable[RiskModel],
    tracking: Tracking | None,
    *,
    as_of: str,
    synthetic: bool,
) -> str:
    """Write `report/index.html` and the worklist of codes of the lake; returns the page's URI.

    Without `tracking` the page has no model.
    """
    found = [m for model in models if tracking for m in _facts(model, tracking)]
    facts = gather(lake, omop, found, as_of=as_of, synthetic=synthetic)
    write_worklist(lake)
    lake.storage.write_text(PLACE, page(facts))
    return lake.storage.path(PLACE)


def _facts(model: RiskModel, tracking: Tracking) -> list[ModelFacts]:
    version = current(tracking, model.registered)
    if version is None:
        return []
    files = read_artifacts(tracking, version.run_id, (*(f"plots/{name}.png" for name in PLOTS), "card.md"))
    metrics = dict(version.metrics)
    return [
        ModelFacts(
            model.name, version.version, model.target, version.approved, metrics,
            [GateFacts(g.name, g.rule, metrics.get(g.metric), g.holds(metrics)) for g in model.gates],
            {name.split("/")[1].removesuffix(".png"): data for name, data in files.items() if name.endswith(".png")},
            files.get("card.md", b"").decode("utf-8"),
        )
    ]  # fmt: skip
