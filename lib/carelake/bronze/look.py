"""What a sender has: its files found and inspected, before anything of them is written."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from carelake.bronze.found import Found
from carelake.bronze.parts import PART, Cutter
from carelake.bronze.source import FileProblem, base_name
from carelake.bronze.stream import opened, stamp, store
from carelake.core.storage import Entry, Storage, is_local
from carelake.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from carelake.bronze.source import Source
    from carelake.core.config import Sender
    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import RunLog

MAX_RATIO = 200  # a gzip that inflates more than this is a bomb; text of this kind reaches 30


@dataclass(frozen=True)
class Looked:
    """What a sender has: its files, inspected, and those that its format leaves."""

    sender: Sender
    source: Source
    files: list[Found]
    left: list[Entry]

    def text(self, log: RunLog) -> int:
        """Bytes of text that landing it would add."""
        known = {r["content_hash"] for r in log.landed() if r["source"] == self.sender.name}
        return sum(
            {
                f.content_hash: f.text for f in self.files if not f.problem and f.content_hash not in known
            }.values()
        )


def find(
    sender: Sender, source: Source, storage: Callable[[str], Storage]
) -> tuple[list[Entry], list[Entry]]:
    """The sender's files: those that the format reads, and those that it leaves. Raises InputError."""
    path = sender.path or ""
    try:
        roots = storage(path).matches()
        entries = [e for r in roots for e in storage(r).files()]
    except OSError:
        raise InputError(
            f"source {sender.name}: the path {path} cannot be read: check its permissions"
        ) from None
    if not roots:
        raise InputError(
            f"source {sender.name}: the path {path} does not exist: give a file, folder or glob that does"
        )
    given_file = len(entries) == 1 and entries[0].path.rstrip("/").endswith(path.rstrip("/"))
    read = [
        e
        for e in entries
        if source.reads(source.file_name(e.name)) or (given_file and not source.ignores(base_name(e.name)))
    ]
    if not read:
        raise InputError(
            f"source {sender.name}: {path} holds no file of format {source.format} ({', '.join(source.files)})"
        )
    return read, [e for e in entries if e not in read]


def inspect(entry: Entry, source: Source, extract_date: date | None, where: str = "") -> Found:
    """Hash a file and read its container to the end, so that a cut or damaged one is refused before anything is read."""
    digest = hashlib.sha256()
    problem: str | None = None
    head = b""
    inflate: Any = None
    cutter: Cutter | None = None
    inflated = size = 0
    before = stamp(entry.path, where)
    try:
        with opened(entry.path, where) as raw:
            packed = raw.read(2)
            digest.update(packed)
            inflate = zlib.decompressobj(wbits=31) if packed == b"\x1f\x8b" else None
            how = (
                source.divides(source.file_name(entry.name))
                if inflate is None and entry.size > PART
                else None
            )
            cutter = Cutter(how) if how else None
            chunk = packed
            while chunk:
                size += len(chunk)
                if inflate is not None and problem is None:
                    problem, inflate, out = _inflate(inflate, chunk)
                    inflated += len(out)
                    head = head or out[:4096]
                    if inflated > (64 << 20) and inflated > MAX_RATIO * size:
                        problem = "F_BOMB:inflation_ratio"
                elif len(head) < 4096:
                    head += chunk[:4096]
                if cutter:
                    cutter.feed(chunk)
                chunk = raw.read(1 << 20)
                digest.update(chunk)
            if inflate is not None and problem is None and not inflate.eof:
                problem = "F_TRUNCATED_CONTAINER:gzip_ends_early"
    except OSError:
        if not is_local(entry.path):  # the store's fault, not the file's
            raise
        problem = "F_BAD_CONTAINER:unreadable"
    if entry.size == 0:
        problem = "F_EMPTY:no_bytes"
    day = (
        extract_date.isoformat()
        if extract_date
        else source.extract_date(entry.name, head.decode("utf-8", "replace"))
    )
    if day is None and problem is None and source.dated:
        day = _told(entry, source.dated, source.file_name(entry.name), where)
    text = inflated if inflate is not None else size
    found = Found(
        entry.path, entry.name, entry.size, digest.hexdigest(), problem, day, before, where=where, text=text,
        cuts=cutter.cuts if cutter else (),
    )  # fmt: skip
    return replace(found, growing=found.changed or before is None or before[0] != entry.size)


def _told(entry: Entry, dated: Callable[[BinaryIO, str], str | None], name: str, where: str) -> str | None:
    """The date that a file tells when it is read; what is wrong with it is seen when its records are landed."""
    try:
        with opened(entry.path, where, unpack=True) as stream:
            return dated(stream, name)
    except (FileProblem, OSError):
        return None


def _inflate(inflate: Any, chunk: bytes) -> tuple[str | None, Any, bytes]:
    """Feed a chunk through gzip members that may follow one another."""
    out = b""
    try:
        while chunk:
            if inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
            out += inflate.decompress(chunk)
            chunk = inflate.unused_data
    except zlib.error:
        return "F_BAD_CONTAINER:gzip_damaged", inflate, out
    return None, inflate, out


def look(lake: DeltaLake, sender: Sender, source: Source) -> Looked:
    """Inspect a sender's files; nothing is written. Raises InputError."""

    def storage(path: str) -> Storage:
        return Storage(path, lake.spark)

    to_read, left = find(sender, source, storage)
    return Looked(sender, source, _inspected(lake, source, sender, to_read), left)


def _inspected(lake: DeltaLake, source: Source, sender: Sender, entries: list[Entry]) -> list[Found]:
    """Inspect the files on the executors, a task a few files."""
    context = lake.spark.sparkContext
    slices = min(len(entries), 4 * context.defaultParallelism)
    by_size = sorted(entries, key=lambda e: -e.size)
    dealt = [by_size[i::slices] for i in range(slices)]
    day, where = sender.extract_date, store(sender.path or "", lake.spark)
    if not is_local(entries[0].path):  # one sentence here instead of an error from every executor
        try:
            with opened(entries[0].path, where) as first:
                first.read(1)
        except OSError:
            raise InputError(
                f"source {sender.name}: Python cannot read {sender.path}, though Spark can list it: see docs/object_stores.md"
            ) from None
    found = (
        context.parallelize(dealt, slices)
        .flatMap(lambda some: [inspect(e, source, day, where) for e in some])
        .collect()
    )
    return sorted(found, key=lambda f: f.file)
