"""The MLflow runs of one training: a parent, a child for each candidate, and the registered version at the end."""

from __future__ import annotations

import contextlib
import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carelake.ml import stages
from carelake.ml.registry import gate_tags
from carelake.ml.tracking import (
    FINGERPRINT,
    REFERENCE,
    Tracking,
    Version,
    experiment_id,
    mlflow_at,
    requirements,
    spark_scratch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.ml import PipelineModel

    from carelake.ml.model import Gate, RiskModel

_ATTEMPT = "carelake.attempt"  # the fingerprint that a run works towards; FINGERPRINT says that it came there
_CANDIDATE = "carelake.candidate"
_PARENT, _NOTE = (
    "mlflow.parentRunId",
    "mlflow.note.content",
)  # MLflow's own: nesting, and the description that its pages show
_FOLD = "fold_auroc"
_LONGEST = 5000  # characters of a description: what every store of MLflow takes in a tag


@dataclass(frozen=True)
class Attempt:
    """A run under way, and the AUROC by fold of the candidates that earlier attempts at the same fingerprint judged."""

    run_id: str
    experiment_id: str
    fingerprint: str
    known: Mapping[str, Sequence[float]] = field(default_factory=dict)


@contextlib.contextmanager
def attempt(tracking: Tracking, *, experiment: str, registered: str, fingerprint: str) -> Iterator[Attempt]:
    """Open a run. Finished children of earlier attempts at this fingerprint that came to no end become its own.

    What escapes from the block leaves the run as FAILED and its finished children for the next attempt.
    """
    with mlflow_at(tracking) as mlflow:
        client = mlflow.MlflowClient()
        at = experiment_id(client, tracking, experiment)
        earlier = client.search_runs([at], f"tags.`{_ATTEMPT}` = '{fingerprint}'")
        run_id = client.create_run(at, run_name=registered, tags={_ATTEMPT: fingerprint}).info.run_id
        known: dict[str, list[float]] = {}
        for run in earlier:
            if (
                run.info.status == "RUNNING"
            ):  # of a process that was killed: the lake's lease lets one train at a time
                client.set_terminated(run.info.run_id, "KILLED")
            words = run.data.tags.get(_CANDIDATE)
            if words and run.info.status == "FINISHED" and words not in known:
                known[words] = [
                    m.value
                    for m in sorted(client.get_metric_history(run.info.run_id, _FOLD), key=lambda m: m.step)
                ]
                client.set_tag(run.info.run_id, _PARENT, run_id)
    opened = Attempt(run_id, at, fingerprint, known)
    try:
        yield opened
    except BaseException:
        with mlflow_at(tracking) as mlflow:
            mlflow.MlflowClient().set_terminated(run_id, "FAILED")
        raise


def record_candidate(
    tracking: Tracking,
    at: Attempt,
    *,
    words: str,
    kind: str,
    params: Mapping[str, float],
    folds: Sequence[float],
    auroc: float,
) -> None:
    """A child run of the attempt: parameters, AUROC of each fold (as steps; NaN where one class only) and their mean."""
    with mlflow_at(tracking) as mlflow:
        client = mlflow.MlflowClient()
        tags = {_PARENT: at.run_id, _ATTEMPT: at.fingerprint, _CANDIDATE: words}
        run_id = client.create_run(at.experiment_id, run_name=words, tags=tags).info.run_id
        client.log_param(run_id, "estimator", kind)
        for name, value in params.items():
            client.log_param(run_id, name, f"{value:g}")
        for fold, value in enumerate(folds):
            client.log_metric(run_id, _FOLD, value, step=fold)
        client.log_metric(run_id, "cv_auroc", auroc)
        client.set_terminated(run_id, "FINISHED")  # last: an unfinished child is judged again


def record(
    tracking: Tracking,
    at: Attempt,
    model: RiskModel,
    *,
    pipeline: PipelineModel,
    inputs: Sequence[str],
    words: Sequence[str] = (),
    listed: str | None,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Path,
    reference: Mapping[str, Any],
    failed: Sequence[Gate],
    description: str,
) -> Version:
    """End the attempt: log its run and register the model as a candidate; it becomes champion only when no gate `failed` and it is not
    worse than the champion.

    `inputs` are the columns that the pipeline reads (doubles), `words` those of text, `listed` the name of a column of ids among them. The
    fingerprint is written last, so that a run that was killed half way is never taken for a finished one; promoted is only what a finished
    run made.
    """
    known = {
        name: float(value) for name, value in metrics.items() if value == value and abs(value) != float("inf")
    }
    known |= {f"gate.{g.name}": known[g.metric] for g in model.gates if g.metric in known}
    verdict = {
        "approved": str(not failed).lower(),
        "gates_failed": ", ".join(g.name for g in failed) or "none",
    } | gate_tags(model.gates, known)
    described = description[:_LONGEST]
    needed = requirements(pipeline)
    with mlflow_at(tracking) as mlflow, spark_scratch(tracking) as scratch:
        import mlflow.spark

        client = mlflow.MlflowClient()
        with mlflow.start_run(run_id=at.run_id):
            mlflow.log_params(dict(params))
            mlflow.log_metrics(known)
            mlflow.set_tags({**tags, **_environment(needed), **verdict, _NOTE: described})
            mlflow.log_artifacts(str(files))
            mlflow.log_dict(dict(reference), REFERENCE)
            info = mlflow.spark.log_model(
                pipeline, "model", dfs_tmpdir=scratch, pip_requirements=needed, signature=_signature(inputs, words, listed)
            )  # fmt: skip
            # not by log_model's registered_model_name, which prints
            registered = model.registered
            about = f"{model.target}. {model.intended_use}"
            if not client.search_registered_models(f"name = '{registered}'"):
                client.create_registered_model(registered)
            client.update_registered_model(registered, about[:_LONGEST])
            version = str(
                client.create_model_version(
                    registered,
                    info.model_uri,
                    at.run_id,
                    model_id=info.model_id,
                    tags=verdict,
                    description=described,
                ).version
            )
            stages.admit(client, registered, version, [g.name for g in failed], known)
            mlflow.set_tag(FINGERPRINT, at.fingerprint)
        stages.settle(client, registered, client.get_model_version(registered, version))
        return Version(version, not failed, at.run_id, known, dict(params))


def _signature(inputs: Sequence[str], words: Sequence[str], listed: str | None) -> Any:
    """What the model reads and gives, without an example: an example would be a patient's."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    columns: list[Any] = [ColSpec(DataType.double, name) for name in inputs]
    columns += [ColSpec(DataType.string, name) for name in words]
    if listed:
        columns.append(ColSpec(Array(DataType.string), listed))
    return ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec(DataType.double, "prediction")]))


def _environment(needed: Sequence[str]) -> dict[str, str]:
    """What the model was trained with, by name of tag."""
    packages = dict(line.split("==") for line in needed)
    return {"env.python": platform.python_version()} | {
        f"env.{name}": version for name, version in packages.items()
    }
