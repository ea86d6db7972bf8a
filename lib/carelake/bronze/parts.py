"""A large file as several tasks read it: where it may be cut, and a part of it as a stream that its format can read.

The records are those that one task would find, with the same offsets and numbers. A file is cut behind a line that ends a record
whatever stands before it; where that is not certain (a line with an odd number of quotes, a line without end) it stays whole.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

PART = 32 << 20  # bytes of a part, about
_BLOCK = 1 << 20
# Bytes without a line feed after which a file stays whole: no reader refuses a line of that length.
_LINE = 8 << 20
_BLANK = re.compile(rb"\n[ \t\r\x0b\x0c]*(?=\n)")


class Divides(NamedTuple):
    """How a format's files may be divided."""

    head: int  # lines of the file's beginning, blank ones not counted, without which a part cannot be read
    quoted: bool  # whether quotes keep a line feed from ending a record


class Cut(NamedTuple):
    """A place where a part may begin."""

    offset: int
    lines: int  # that are not blank, before it


class Cutter:
    """Finds the cuts of a file that is fed to it from begin to end."""

    def __init__(self, how: Divides) -> None:
        """`how` the file's format divides."""
        self._how = how
        self._rest = b""
        self._begin = self._at = self._lines = 0
        self._cuts: list[Cut] | None = [Cut(0, 0)]

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        if self._cuts is None:
            return
        self._rest += chunk
        end = self._rest.rfind(b"\n") + 1
        if not end:
            if len(self._rest) > _LINE:
                self._cuts = None
            return
        block, self._rest = self._rest[:end], self._rest[end:]
        if self._how.quoted and b'"' in block and any(x.count(b'"') % 2 for x in block.split(b"\n")):
            self._cuts = None
            return
        text = block if self._at else block.removeprefix(codecs.BOM_UTF8)
        self._lines += text.count(b"\n") - sum(1 for _ in _BLANK.finditer(b"\n" + text))
        self._at += end
        if self._at - self._begin >= PART and self._lines >= self._how.head:
            self._begin = self._at
            self._cuts.append(Cut(self._at, self._lines))

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Where parts begin, the file's beginning first; none when it stays whole."""
        found = self._cuts or []
        return tuple(found) if len(found) > 1 else ()


class Part(NamedTuple):
    """A part of a file and what its records' offsets and numbers lack."""

    stream: BinaryIO
    begins: int  # offset in the stream of the first record that is the part's own
    offset: int  # to be added to an offset in the stream
    number: int  # to be added to the number of a record


def part(stream: BinaryIO, how: Divides, begin: Cut, end: int | None) -> Part:
    """The part from a cut to an offset (None: the end of the file), behind the lines that it needs of the file's beginning."""
    head, left = b"", how.head if begin.offset else 0
    while left:
        line = stream.readline()
        left -= bool((line if head else line.removeprefix(codecs.BOM_UTF8)).strip())
        head += line
    window = cast("BinaryIO", io.BufferedReader(_Window(stream, head, begin.offset, end), _BLOCK))
    return Part(window, len(head), begin.offset - len(head), begin.lines - how.head if begin.offset else 0)


class _Window(io.RawIOBase):
    """Some bytes, then those of a stream between two offsets."""

    def __init__(self, stream: BinaryIO, head: bytes, begin: int, end: int | None) -> None:
        self._stream, self._head = stream, head
        self._left = None if end is None else end - begin
        stream.seek(begin)

    def readable(self) -> bool:
        return True

    def readinto(self, into: Buffer, /) -> int:
        view = memoryview(into)
        size = len(view) if self._left is None or self._head else min(len(view), self._left)
        if self._head:
            read, self._head = self._head[:size], self._head[size:]
        else:
            read = self._stream.read(size)
            if self._left is not None:
                self._left -= len(read)
        view[: len(read)] = read
        return len(read)
