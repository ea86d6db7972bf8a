"""The registered versions of a model: listed, promoted, rolled back; and what the run behind one was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carelake.errors import ConfigError
from carelake.ml import stages
from carelake.ml.tracking import TABLE, session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carelake.ml.model import Gate
    from carelake.ml.stages import Transition
    from carelake.ml.tracking import Tracking

REPRODUCIBLE = "reproducible"
_SHOWN = (
    "auroc",
    "auroc_lower",
    "auroc_upper",
    "auprc",
    "brier",
    "calibration_slope",
    "calibration_intercept",
)


@dataclass(frozen=True)
class Listed:
    """A registered version: its stage and why, whether it passed its gates and which it failed, its key metrics."""

    version: str
    stage: str
    since: str
    reason: str
    approved: bool
    gates_failed: str
    held_back: str
    reproducible: str
    run_id: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Made:
    """What a run was made from, and its metrics."""

    run_id: str
    registered: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def tables(self) -> dict[str, int]:
        """Version of each table that was there."""
        named = {k.removeprefix(TABLE): int(v) for k, v in self.params.items() if k.startswith(TABLE)}
        return {name: version for name, version in named.items() if version >= 0}


def gate_tags(gates: Sequence[Gate], metrics: Mapping[str, float]) -> dict[str, str]:
    """Tags that say of each gate its value, its rule and whether it holds."""
    return {
        f"gate.{g.name}": f"{metrics.get(g.metric, float('nan')):.6g}; {g.rule}; {'holds' if g.holds(metrics) else 'does not hold'}"
        for g in gates
    }


def listing(tracking: Tracking, registered: str) -> list[Listed]:
    """Versions of finished runs, newest first; empty for a model that was never trained."""
    out = []
    with session(tracking) as client:
        champion = stages.champion(client, registered)
        found = client.search_model_versions(f"name = '{registered}'")
        for version in sorted(found, key=lambda v: -int(v.version)):
            run = client.get_run(version.run_id)
            if run.info.status != "FINISHED":
                continue
            tags, name = version.tags, str(version.version)
            stage = stages.CHAMPION if name == champion else tags.get(stages.STAGE, stages.CANDIDATE)
            out.append(Listed(
                name, stage, tags.get("stage_since", ""), tags.get("stage_reason", ""), tags.get("approved") == "true",
                tags.get("gates_failed", ""), tags.get(stages.HELD_BACK, ""), tags.get(REPRODUCIBLE, ""), run.info.run_id,
                {k: run.data.metrics[k] for k in _SHOWN if k in run.data.metrics},
            ))  # fmt: skip
    return out


def history(tracking: Tracking, registered: str) -> list[Transition]:
    """Every transition of the model's versions, the oldest first."""
    with session(tracking) as client:
        return stages.history(client, registered)


def promote(tracking: Tracking, registered: str, version: str, reason: str) -> None:
    """Make a version champion. Raises ConfigError when there is none such, QualityGateError when a gate of its failed."""
    with session(tracking) as client:
        stages.settle_all(client, registered)
        stages.promote_by_hand(client, registered, version, reason)


def roll_back(tracking: Tracking, registered: str, reason: str) -> tuple[str, str]:
    """Make the version champion that was it before. Returns versions before and after. Raises ConfigError when there is none."""
    with session(tracking) as client:
        stages.settle_all(client, registered)
        return stages.roll_back(client, registered, reason)


def made(tracking: Tracking, run_id: str) -> Made:
    """The run with this id. Raises ConfigError when the server has no finished run of a registered model with it."""
    from mlflow.exceptions import MlflowException

    unknown = ConfigError("no finished run of a registered model has this run id: the job models lists them")
    if not run_id.isalnum():
        raise unknown
    with session(tracking) as client:
        try:
            run = client.get_run(run_id)
        except MlflowException as e:
            if stages.is_absent(e):
                raise unknown from None
            raise
        versions = client.search_model_versions(f"run_id = '{run_id}'")
        if run.info.status != "FINISHED" or not versions:
            raise unknown
        return Made(
            run_id, versions[0].name, dict(run.data.params), dict(run.data.metrics), dict(run.data.tags)
        )


def mark_reproducible(tracking: Tracking, run: Made, said: str) -> None:
    """Note on the version of a run whether it could be made again."""
    with session(tracking) as client:
        for version in client.search_model_versions(f"run_id = '{run.run_id}'"):
            client.set_model_version_tag(version.name, str(version.version), REPRODUCIBLE, said)


def compared(
    was: Mapping[str, float], now: Mapping[str, float], within: float, besides: Any = ("champion_", "gate.")
) -> tuple[list[str], int]:
    """Names of metrics that differ by more than `within` or are on one side alone, and how many were compared.

    Left out are those whose name begins with one of `besides`: they compare with another model, or are named twice;
    and those in seconds.
    """
    names = sorted(n for n in {*was, *now} if not n.startswith(tuple(besides)) and not n.endswith("_seconds"))
    return [n for n in names if n not in was or n not in now or not abs(was[n] - now[n]) <= within], len(
        names
    )
