"""A file found: what is known of it before its records are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carelake.bronze.stream import stamp

if TYPE_CHECKING:
    from carelake.bronze.parts import Cut


@dataclass(frozen=True)
class Found:
    """A file to land, inspected."""

    path: str
    file: str
    bytes: int
    content_hash: str
    problem: str | None
    extract_date: str | None
    stamp: tuple[int, int] | None = None
    growing: bool = False  # changed between being listed and being read to its end
    text: int = 0  # bytes without compression
    where: str = ""  # the store of the path, see `stream.store`
    cuts: tuple[Cut, ...] = ()  # where the parts of a large file begin that several tasks read

    @property
    def changed(self) -> bool:
        """Whether the file is not what was inspected any more."""
        return stamp(self.path, self.where) != self.stamp
