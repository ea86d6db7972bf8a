"""Damage to a Delta table's folder, as disks, people and half-finished copies do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def flipped(content: bytes, at: int) -> bytes:
    """The bytes with one bit of one byte turned."""
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def newest_data(folder: Path) -> Path:
    """The data file written last."""
    return max(folder.rglob("part-*.parquet"), key=lambda f: (f.stat().st_mtime_ns, f.name))


def _in_a_page(file: Path) -> int:
    """A byte of values: Parquet's checksums cover pages, neither their headers nor the footer."""
    from pyarrow import parquet

    groups = parquet.ParquetFile(file).metadata
    columns = [
        groups.row_group(g).column(c) for g in range(groups.num_row_groups) for c in range(groups.num_columns)
    ]
    largest = max(columns, key=lambda c: c.total_compressed_size)
    first = largest.dictionary_page_offset or largest.data_page_offset
    return int(first + largest.total_compressed_size - 2)


def _commits(folder: Path, end: str = "json") -> list[Path]:
    return sorted((folder / "_delta_log").glob(f"{'[0-9]' * 20}.{end}"))


def _without_hadoops(file: Path) -> Path:
    """Hadoop keeps a checksum beside each file on a local disk; stores have none, and copies lose it."""
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    return file


def _flip(folder: Path) -> None:
    file = _without_hadoops(newest_data(folder))
    file.write_bytes(flipped(file.read_bytes(), _in_a_page(file)))


def _cut(file: Path, rest: float = 0.5) -> None:
    content = _without_hadoops(file).read_bytes()
    file.write_bytes(content[: int(len(content) * rest)])


def _garbage(file: Path) -> None:
    _without_hadoops(file).write_bytes(b"\xff\xfe{no json")


# Each takes the table's folder; all leave its first version alone.
CASES: dict[str, Callable[[Path], object]] = {
    "a byte of a data file flipped": _flip,
    "a data file cut": lambda folder: _cut(newest_data(folder)),
    "a data file missing": lambda folder: _without_hadoops(newest_data(folder)).unlink(),
    "a commit in the middle missing": lambda folder: _without_hadoops(_commits(folder)[-2]).unlink(),
    "the last commit missing": lambda folder: _without_hadoops(_commits(folder)[-1]).unlink(),
    "the last commit cut": lambda folder: _cut(_commits(folder)[-1]),
    "a commit in the middle garbage": lambda folder: _garbage(_commits(folder)[-2]),
    "the last checksum file garbage": lambda folder: _garbage(_commits(folder, "crc")[-1]),
    "the last checksum file missing and a commit garbage": lambda folder: (
        _commits(folder, "crc")[-1].unlink(),
        _garbage(_commits(folder)[-2]),
    ),
    "the checkpoint cut": lambda folder: _cut(_commits(folder, "checkpoint.parquet")[-1]),
}
