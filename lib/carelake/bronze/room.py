"""Room: a lake on a local disk lands nothing for which the disk has no room."""

from __future__ import annotations

import shutil

from carelake.core.storage import is_local, local_path
from carelake.errors import ConfigError

MIB = 1 << 20
LEAST = 256 * MIB  # what a run takes, however little it lands: vocabulary, spill


def needed(text: int) -> int:
    """Free bytes that landing so many bytes of text asks for, and all that is made of them; nothing for nothing.

    As many as the text has: a whole lake took 0.3 to 0.5 of it (bench/RESULTS.md), and what Spark spills and the files of
    the version before want room beside it.
    """
    return LEAST + text if text else 0


def shortage(root: str, free: int, text: int) -> str | None:
    """The sentence with which a landing is refused; None where there is room."""
    if free >= needed(text):
        return None
    return (
        f"the lake {root} has {free // MIB} MiB free, and what is new, {-(-text // MIB)} MiB of text, asks for "
        f"{-(-needed(text) // MIB)}: free some there, or give --lake a folder on a larger disk"
    )


def refuse_without_room(root: str, text: int) -> None:
    """Raises ConfigError when `root` is on a local disk with too little room for so many bytes of text."""
    if is_local(root) and (why := shortage(root, shutil.disk_usage(local_path(root)).free, text)):
        raise ConfigError(why)
