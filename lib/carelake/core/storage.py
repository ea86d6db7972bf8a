"""Small files and listings below a root, on a local disk or on whatever Hadoop reaches (s3a, abfss, hdfs)."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carelake.core.jvm import java

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession


def is_local(uri: str) -> bool:
    """Whether a path or URI is on the local disk."""
    return "://" not in uri or uri.startswith("file:")


def local_path(uri: str) -> Path:
    """The local path of a path or `file:` URI."""
    return Path(uri.removeprefix("file://").removeprefix("file:"))


@dataclass(frozen=True)
class Entry:
    """A file found: its full path and its name below the place that was listed."""

    path: str
    name: str
    size: int


@dataclass(frozen=True)
class Storage:
    """Files below `root`; `spark` gives Hadoop's file systems and is not used for a local root."""

    root: str
    spark: SparkSession | None = None

    @property
    def local(self) -> bool:
        """Whether the root is on the local disk."""
        return is_local(self.root)

    def path(self, name: str) -> str:
        """Full path of a name below the root."""
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    @property
    def _session(self) -> SparkSession:
        if self.spark is None:
            raise AssertionError(f"{self.root} is not local: its Storage needs a Spark session")
        return self.spark

    def _hadoop(self, name: str) -> tuple[Any, Any]:
        path = java(self._session, "org.apache.hadoop.fs.Path")(self.path(name))
        return path.getFileSystem(self._session._jsc.hadoopConfiguration()), path

    def exists(self, name: str) -> bool:
        """Whether a file or folder is there."""
        if self.local:
            return local_path(self.path(name)).exists()
        fs, path = self._hadoop(name)
        return bool(fs.exists(path))

    def read_text(self, name: str) -> str | None:
        """The text of a small file, or None when it is not there."""
        if self.local:
            try:
                return local_path(self.path(name)).read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
        fs, path = self._hadoop(name)
        if not fs.exists(path):
            return None
        stream = fs.open(path)
        try:
            return str(java(self._session, "org.apache.commons.io.IOUtils").toString(stream, "UTF-8"))
        finally:
            stream.close()

    def read_bytes(self, name: str, start: int = 0, length: int = -1) -> bytes:
        """Bytes of a file from `start` on: `length` of them, or up to its end. Raises OSError when it cannot be read."""
        if self.local:
            with local_path(self.path(name)).open("rb") as f:
                f.seek(start)
                return f.read(length)
        from py4j.protocol import Py4JError

        fs, path = self._hadoop(name)
        try:
            stream = fs.open(path)
            try:
                stream.seek(start)
                if length >= 0:
                    stream = java(self._session, "org.apache.commons.io.input.BoundedInputStream")(
                        stream, length
                    )
                return bytes(java(self._session, "org.apache.commons.io.IOUtils").toByteArray(stream))
            finally:
                stream.close()
        except Py4JError:
            raise OSError(f"{self.path(name)} cannot be read") from None

    def write_text(self, name: str, text: str, *, exclusive: bool = False) -> bool:
        """Write a small file whole; with `exclusive` only when it is not there. Returns whether it was written."""
        if self.local:
            target = local_path(self.path(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            if exclusive:
                try:
                    with target.open("x", encoding="utf-8") as f:
                        f.write(text)
                except FileExistsError:
                    return False
                return True
            part = target.with_name(f".{target.name}.{os.getpid()}")
            part.write_text(text, encoding="utf-8")
            part.replace(target)
            return True
        fs, path = self._hadoop(name)
        if exclusive and fs.exists(path):
            return False
        stream = fs.create(path, not exclusive)
        try:
            stream.write(bytearray(text, "utf-8"))
        finally:
            stream.close()
        return True

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens when it is not there."""
        if self.local:
            local_path(self.path(name)).unlink(missing_ok=True)
            return
        fs, path = self._hadoop(name)
        fs.delete(path, False)

    def delete_folder(self, name: str) -> None:
        """Remove a folder with all that is in it; nothing happens when it is not there."""
        if self.local:
            shutil.rmtree(local_path(self.path(name)), ignore_errors=True)
            return
        fs, path = self._hadoop(name)
        fs.delete(path, True)

    def files(self) -> Iterator[Entry]:
        """Every file below the root, or the root itself when it is a file, sorted by name; hidden names are left out."""
        if self.local:
            top = local_path(self.root)
            if top.is_file():
                yield Entry(str(top), top.name, top.stat().st_size)
                return
            for found in sorted(p for p in top.rglob("*") if p.is_file()):
                name = found.relative_to(top).as_posix()
                if not any(part.startswith(".") for part in name.split("/")):
                    yield Entry(str(found), name, found.stat().st_size)
            return
        fs, path = self._hadoop("")
        status = fs.getFileStatus(path)
        if status.isFile():
            yield Entry(str(path), str(path.getName()), int(status.getLen()))
            return
        base = str(status.getPath().toString()).rstrip("/") + "/"
        found_entries = []
        walk = fs.listFiles(path, True)
        while walk.hasNext():
            one = walk.next()
            full = str(one.getPath().toString())
            found_entries.append(Entry(full, full.removeprefix(base), int(one.getLen())))
        yield from sorted(found_entries, key=lambda e: e.name)
