"""The mark of a lake: its format, and whether it was begun with the bundled sample."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from carelake import LAKE_FORMAT
from carelake.errors import ConfigError, LakeError

if TYPE_CHECKING:
    from carelake.core.lake import DeltaLake

MARK = "ops/_lake.json"


def read_mark(lake: DeltaLake) -> dict[str, Any]:
    """What the mark says; nothing of a lake that is new. Raises LakeError when it is damaged."""
    try:
        mark: dict[str, Any] = json.loads(lake.storage.read_text(MARK) or "{}")
        int(mark.get("format", LAKE_FORMAT))
        return mark
    except (ValueError, TypeError, AttributeError):
        written = json.dumps({"format": LAKE_FORMAT, "sample": False})
        raise LakeError(
            f"{MARK} of the lake {lake.root} is damaged: restore it from a copy, or write {written} into it "
            '("sample": true when it was begun with the bundled sample)'
        ) from None


def write_mark(lake: DeltaLake, release: str, *, sample: bool) -> None:
    """Mark a new lake with its format; `sample`: that it begins with the bundled one."""
    lake.storage.write_text(MARK, json.dumps({"format": LAKE_FORMAT, "release": release, "sample": sample}))


def check_mark(lake: DeltaLake) -> None:
    """Refuse a lake of another format. Raises LakeError, and ConfigError when the lake cannot be reached."""
    try:
        found = int(read_mark(lake).get("format", LAKE_FORMAT))
    except OSError:
        raise ConfigError(
            f"the lake {lake.root} cannot be read: check the path and, of a store, endpoint, region and credentials"
        ) from None
    if found > LAKE_FORMAT:
        raise LakeError(
            f"the lake {lake.root} was written by a newer carelake (format {found}): upgrade carelake"
        )
    if found < LAKE_FORMAT:
        raise LakeError(
            f"the lake {lake.root} was written by an older carelake (format {found}): land its sources into a new lake"
        )
