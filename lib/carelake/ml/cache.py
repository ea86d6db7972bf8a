"""The version of each model that scores, kept in the lake: what is scored with while the registry cannot be reached.

`models/index.json` names of every model the version, or null for a model without one; `models/<model>/<version>` holds it. The index is
written last, so that it names only what is whole.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyspark.ml import PipelineModel

from carelake.ml.tracking import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carelake.core.storage import Storage

PLACE = "models"
_INDEX = f"{PLACE}/index.json"


def kept(storage: Storage) -> dict[str, Version | None] | None:
    """The version of each model, None for a model that has none; None when the lake keeps nothing yet."""
    text = storage.read_text(_INDEX)
    if text is None:
        return None
    return {name: Version(**v) if v else None for name, v in json.loads(text).items()}


def keep(
    storage: Storage, model: str, version: Version, pipeline: PipelineModel, reference: Mapping[str, Any]
) -> None:
    """Keep a version, which `point` then makes the one that counts."""
    folder = _folder(model, version)
    pipeline.write().overwrite().save(storage.path(f"{folder}/pipeline"))
    storage.write_text(f"{folder}/reference.json", json.dumps(dict(reference)))


def point(storage: Storage, versions: Mapping[str, Version | None]) -> None:
    """Make these the versions that count, and remove those that counted before."""
    before = kept(storage) or {}
    if before == dict(versions):
        return
    written = {name: asdict(v) if v else None for name, v in sorted(versions.items())}
    storage.write_text(_INDEX, json.dumps(written, indent=1))
    for name, old in before.items():
        now = versions.get(name)
        if old is not None and (now is None or _folder(name, now) != _folder(name, old)):
            storage.delete_folder(_folder(name, old))


def has(storage: Storage, model: str, version: Version) -> bool:
    """Whether the version is kept."""
    return storage.exists(f"{_folder(model, version)}/reference.json")


def load(storage: Storage, model: str, version: Version) -> tuple[PipelineModel, Mapping[str, Any]] | None:
    """The Spark model of a version and its reference values; None when it is not kept."""
    folder = _folder(model, version)
    text = storage.read_text(f"{folder}/reference.json")
    if text is None:
        return None
    return PipelineModel.load(storage.path(f"{folder}/pipeline")), json.loads(text)


def _folder(model: str, version: Version) -> str:
    return f"{PLACE}/{model}/{version.version}-{version.run_id[:8]}"
