"""Records of newline-delimited JSON: where each begins, and what is wrong with one that cannot be read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE = 64 << 20  # bytes; a longer line is no record of a person, and must not fill the memory
MAX_DEPTH = 100

_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(r'"(?:[^"\\]+|\\.)*"', re.DOTALL)
_NOT_BRACKET = re.compile(r"[^][{}]+")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# An escaped control character; tab, line feed, form feed and carriage return are text.
_CONTROL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u00(?:0[0-8bBeEfF]|1[0-9a-fA-F])")
_CONTROL_BYTE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class LineTooLong(ValueError):  # noqa: N818 - as FileProblem
    """A line is longer than MAX_LINE."""


class Readable(Protocol):
    """What gives bytes line by line."""

    def readline(self, size: int = -1, /) -> bytes:
        """The next line with its end, at most `size` bytes of it."""


class Line(NamedTuple):
    """A non-blank line."""

    raw: bytes  # as sent, without line end and byte order mark
    byte_offset: int  # of its first byte
    record_no: int  # among the non-blank lines, from 1
    ended: bool  # whether a line end follows: False only for the last line


class Parsed(NamedTuple):
    """A JSON value, or the reason (`R_CLASS:rule`) why there is none. A problem may come with a value (R_TOO_DEEP)."""

    value: Any
    problem: str | None = None


class _DuplicateKeyError(ValueError):
    """An object names a key twice."""


def lines(stream: Readable) -> Iterator[Line]:
    """The non-blank lines of a stream, one in memory at a time; LF or CRLF; a UTF-8 byte order mark is skipped.

    Raises LineTooLong.
    """
    offset = record_no = 0
    while chunk := stream.readline(MAX_LINE + 1):
        if len(chunk) > MAX_LINE:
            raise LineTooLong(f"line {record_no + 1} is longer than {MAX_LINE} bytes")
        start, offset = offset, offset + len(chunk)
        ended = chunk.endswith(b"\n")
        raw = chunk[:-1].removesuffix(b"\r") if ended else chunk
        if start == 0 and raw.startswith(_BOM):
            raw, start = raw[len(_BOM) :], len(_BOM)
        if raw.strip():
            record_no += 1
            yield Line(raw, start, record_no, ended)


def is_wide(head: bytes) -> bool:
    """Whether a file that begins so is UTF-16 or UTF-32."""
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]


def parse(raw: bytes, *, ended: bool = True) -> Parsed:
    """One JSON text, strictly: UTF-8, no duplicate key, no NaN, no control character, at most MAX_DEPTH levels.

    `ended` False says that the file stops here, so that what cannot be parsed was cut.
    """
    return _quickly(raw) or _strictly(raw, ended)


def _quickly(raw: bytes) -> Parsed | None:
    """What a fast parser says of a text without escapes; None where only the strict one knows.

    Of a key that comes twice it keeps the last, so what it read is written again: as many keys as were sent say that none did.
    """
    if b"\\" in raw:
        return None
    try:
        value = _FAST.decode(raw)
        again = _WRITER.encode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if again != raw and (b"\\" in again or _unquoted(again).count(b":") != _unquoted(raw).count(b":")):
        return None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        left = _unquoted(raw).translate(_ONE_KIND, _NO_BRACKET)
        for _ in range(MAX_DEPTH):  # each time the innermost level goes
            left = left.replace(b"[]", b"")
        return Parsed(value, "R_TOO_DEEP:nesting" if left else None)
    return Parsed(value)


def _unquoted(raw: bytes) -> bytes:
    """A JSON text without escapes, without what stands in quotes."""
    return b"".join(raw.split(b'"')[::2])


def _strictly(raw: bytes, ended: bool) -> Parsed:
    try:
        text = raw.decode()
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        cut = not ended and error.end == len(raw) and error.reason == "unexpected end of data"
        return Parsed(None, "R_TRUNCATED:cut_by_end_of_file" if cut else "R_ENCODING:not_utf8")
    except _DuplicateKeyError:
        return Parsed(None, "R_SYNTAX:duplicate_key")
    except RecursionError:
        return Parsed(None, "R_TOO_DEEP:nesting")
    except ValueError:
        if _CONTROL_BYTE.search(raw):
            return Parsed(None, "R_CONTROL_CHAR:raw")
        return Parsed(None, "R_SYNTAX:not_json" if ended else "R_TRUNCATED:cut_by_end_of_file")
    if "\\u" in text:
        if _CONTROL_ESCAPE.search(text):
            return Parsed(value, "R_CONTROL_CHAR:escaped")
        if _SURROGATE.search(text) and not _encodable(value):
            return Parsed(value, "R_ENCODING:lone_surrogate")
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        return Parsed(value, "R_TOO_DEEP:nesting")
    return Parsed(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, unless a key comes twice: readers disagree on which one counts."""
    out = dict(pairs)
    if len(out) != len(pairs):
        raise _DuplicateKeyError
    return out


def _refuse(constant: str) -> float:
    """NaN and Infinity are no JSON, though Python's parser takes them."""
    raise ValueError(constant)


def _encodable(value: object) -> bool:
    """Whether all its text is made of real characters."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(text: str) -> int:
    """Levels of nesting of a JSON text that has been parsed."""
    level = deepest = 0
    for bracket in _NOT_BRACKET.sub("", _STRING.sub("", text)):
        level += 1 if bracket in "[{" else -1
        deepest = max(deepest, level)
    return deepest


_FAST, _WRITER = msgspec.json.Decoder(), msgspec.json.Encoder()
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(set(range(256)) - set(b"{}[]"))
# The standard library's parser, with the check of keys: some 60 MB/s, a quarter of the other.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
