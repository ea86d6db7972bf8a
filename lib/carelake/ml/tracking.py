"""MLflow: the only module that imports it. Runs, registered versions, the champion alias, models in and out."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from carelake.errors import ConfigError, RegistryError, UsageError
from carelake.ml import stages

# said before MLflow is imported: nothing is sent anywhere, no bars on the terminal
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# a server that is down is told from a slow one in seconds, not in minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.ml import PipelineModel

TABLE = "table."  # begins the names of parameters that say which version of a table was read
FINGERPRINT = "carelake.fingerprint"
REFERENCE = "reference.json"
_URI = "MLFLOW_TRACKING_URI"
_DOWN = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "ENDPOINT_NOT_FOUND",
}
_REFUSED = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_PINNED = ("mlflow", "pyspark", "numpy", "pandas")


@dataclass(frozen=True)
class Tracking:
    """Where MLflow keeps runs (`uri`) and where the artifacts of new experiments go (`artifact_root`, folder or URI)."""

    uri: str
    artifact_root: str


@dataclass(frozen=True)
class Version:
    """A registered version with the run that made it."""

    version: str
    approved: bool
    run_id: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]


def import_early() -> None:
    """Import MLflow in a thread of its own: seconds that pass while Spark starts."""

    def imported() -> None:
        import mlflow  # noqa: F401

    threading.Thread(target=imported, daemon=True).start()


def _local(artifact_root: str) -> Path | None:
    parsed = urlparse(artifact_root)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(artifact_root) if len(parsed.scheme) < 2 else None


@contextlib.contextmanager
def mlflow_at(tracking: Tracking) -> Iterator[Any]:
    """MLflow pointed at `tracking`, quiet. Raises RegistryError when its server cannot be reached, ConfigError when it refuses."""
    import mlflow

    loggers = [logging.getLogger(n) for n in ("mlflow", "mlflow.store.db.utils", "mlflow.spark", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    # stays set: mlflow.get_tracking_uri() cannot tell "unset" from its default, which is the working directory
    given = os.environ.get(_URI)
    mlflow.set_tracking_uri(tracking.uri)
    os.environ.pop(
        _URI, None
    )  # MLflow sets it; another lake of this process is not to take it for what a user said
    if given is not None:
        os.environ[_URI] = given
    try:
        yield mlflow
    except Exception as e:
        told = _in_words(e, tracking.uri)
        if told is None:
            raise
        raise told from None
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _in_words(error: Exception, uri: str) -> ConfigError | None:
    """What a failure to ask the server means; None for any other failure."""
    code = getattr(error, "error_code", None)
    remote = uri.startswith(("http://", "https://"))
    place = urlparse(uri)
    shown = f"{place.scheme}://{place.hostname}{f':{place.port}' if place.port else ''}"  # a URI may hold a password
    if remote and code in _REFUSED:
        return ConfigError(
            f"the MLflow server {shown} refuses access: see MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_TOKEN"
        )
    library = type(error).__module__.split(".")[0]
    unreached = library in ("requests", "urllib3") or (
        library == "sqlalchemy" and type(error).__name__ == "OperationalError"
    )
    if (remote and code in _DOWN) or unreached:
        return RegistryError(f"the MLflow server {shown} cannot be reached or fails: see MLFLOW_TRACKING_URI")
    return None


def reach(tracking: Tracking) -> None:
    """Ask the server anything. Raises RegistryError when it cannot be reached."""
    with mlflow_at(tracking) as mlflow:
        mlflow.MlflowClient().search_registered_models(max_results=1)


@contextlib.contextmanager
def session(tracking: Tracking) -> Iterator[Any]:
    """A client of the server. Raises RegistryError when it cannot be reached, ConfigError when it refuses."""
    with mlflow_at(tracking) as mlflow:
        yield mlflow.MlflowClient()


@contextlib.contextmanager
def spark_scratch(tracking: Tracking) -> Iterator[str | None]:
    """A folder beside the artifacts for the copies that mlflow.spark makes; None (its default) for a remote root."""
    root = _local(tracking.artifact_root)
    if root is None:
        yield None
        return
    root.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=".spark-", dir=root)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _version(client: Any, version: ModelVersion, run: Run) -> Version:
    approved = version.tags.get("approved") == "true"
    return Version(
        str(version.version), approved, run.info.run_id, dict(run.data.metrics), dict(run.data.params)
    )


def _finished(client: Any, registered: str) -> Iterator[tuple[ModelVersion, Run]]:
    """Registered versions whose run came to its end, newest first."""
    versions = client.search_model_versions(f"name = '{registered}'")
    for version in sorted(versions, key=lambda v: -int(v.version)):
        run = client.get_run(version.run_id)
        if run.info.status == "FINISHED":
            yield version, run


def find(tracking: Tracking, registered: str, fingerprint: str) -> Version | None:
    """The version that a finished run with this fingerprint registered, or None. Raises UsageError on an odd fingerprint."""
    if not fingerprint.replace("-", "").isalnum():
        raise UsageError("the fingerprint of a training must be letters, digits and hyphens")
    with mlflow_at(tracking) as mlflow:
        client = mlflow.MlflowClient()
        for version, run in _finished(client, registered):
            if run.data.tags.get(FINGERPRINT) == fingerprint:
                stages.settle(client, registered, version)
                return _version(client, version, run)
    return None


def current(tracking: Tracking, registered: str) -> Version | None:
    """The champion, else the newest candidate of a finished run, else None."""
    with mlflow_at(tracking) as mlflow:
        client = mlflow.MlflowClient()
        champion = stages.champion(client, registered)
        if champion is not None:
            version = client.get_model_version(registered, champion)
            return _version(client, version, client.get_run(version.run_id))
        for version, run in _finished(client, registered):
            return _version(client, version, run)
    return None


def table_versions(tracking: Tracking, prefix: str) -> set[tuple[str, int]]:
    """Tables and their versions that the runs behind registered versions name, of models whose name begins so."""
    with mlflow_at(tracking) as mlflow:
        client = mlflow.MlflowClient()
        names = [m.name for m in client.search_registered_models() if m.name.startswith(prefix)]
        params = [run.data.params for name in names for _, run in _finished(client, name)]
    return {
        (key.removeprefix(TABLE), int(version))
        for p in params
        for key, version in p.items()
        if key.startswith(TABLE)
    }


def load(tracking: Tracking, registered: str, version: Version) -> tuple[PipelineModel, Mapping[str, Any]]:
    """The Spark model of a version, and the reference values logged with it."""
    with mlflow_at(tracking) as mlflow, spark_scratch(tracking) as scratch:
        import mlflow.spark

        reference = mlflow.artifacts.load_dict(f"runs:/{version.run_id}/{REFERENCE}")
        return mlflow.spark.load_model(
            f"models:/{registered}/{version.version}", dfs_tmpdir=scratch
        ), reference


def experiment_id(client: Any, tracking: Tracking, name: str) -> str:
    """Of the experiment with this name, which is made where the artifacts of `tracking` go when there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # with SQLite the default artifact location would be ./mlruns, outside the lake
    root = _local(tracking.artifact_root)
    base = root.absolute().as_uri() if root is not None else tracking.artifact_root.rstrip("/")
    return str(client.create_experiment(name, artifact_location=f"{base}/{name.rsplit('/', 1)[-1]}"))


def requirements(pipeline: PipelineModel) -> list[str]:
    """What is needed to load the model, from what is installed: MLflow would otherwise start a process to infer it."""
    from importlib.metadata import packages_distributions, version

    modules = {type(stage).__module__.split(".")[0] for stage in pipeline.stages} - {"pyspark"}
    others = {packages_distributions()[m][0] for m in modules}  # xgboost comes in more than one distribution
    return [f"{name}=={version(name)}" for name in (*_PINNED, *sorted(others))]


def read_artifacts(tracking: Tracking, run_id: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """The named artifacts of a run, those that it has, as bytes."""
    found: dict[str, bytes] = {}
    with mlflow_at(tracking) as mlflow, tempfile.TemporaryDirectory() as scratch:
        for name in names:
            with contextlib.suppress(
                Exception
            ):  # an artifact that is not there raises another class in every store
                path = mlflow.artifacts.download_artifacts(
                    run_id=run_id, artifact_path=name, dst_path=scratch
                )
                found[name] = Path(path).read_bytes()
    return found
