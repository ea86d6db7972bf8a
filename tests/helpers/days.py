"""A folder of exports dealt to days: what one sender sends day by day, for tests of increments."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FIRST_DAY = 1_724_284_800_000  # 2024-08-22 in epoch milliseconds, as FHIR bulk exports put it into names
_DAY = 86_400_000


def deal(folder: Path, into: Path, days: int, *, header: bool, seed: int = 7) -> list[Path]:
    """Every record of the files of `folder` into one of `days` folders below `into`, by lot; returns the folders.

    Without a header the files are FHIR NDJSON, and their names tell the day as bulk exports do.
    """
    lot = random.Random(seed)  # noqa: S311 - no secret
    folders = [into / f"day{n:02d}" for n in range(days)]
    for file in sorted(folder.iterdir()):
        text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        lines = text.splitlines(keepends=True)
        first = lines.pop(0) if header else b""
        dealt: list[list[bytes]] = [[] for _ in folders]
        for line in lines:
            dealt[lot.randrange(days)].append(line if line.endswith(b"\n") else line + b"\n")
        for n, (target, some) in enumerate(zip(folders, dealt, strict=True)):
            if some:
                target.mkdir(parents=True, exist_ok=True)
                stem = file.name.split(".")[0]
                name = f"{stem}.csv" if header else f"{stem}.{_FIRST_DAY + n * _DAY}.ndjson"
                (target / name).write_bytes(first + b"".join(some))
    return folders
