"""Small files and listings below a root, on a local disk or on whatever Hadoop reaches (s3a, abfss, hdfs)."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carelake.core.jvm import java
from carelake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

# What a store is asked whether it can, and then told to do: to put an object only if there is none, or only over this one.
IF_ABSENT = "fs.option.create.conditional.overwrite"
IF_SAME = "fs.option.create.conditional.overwrite.etag"
READS = 5
_MISSING = "java.io.FileNotFoundException"
_CONFLICTS = (
    _MISSING, "org.apache.hadoop.fs.s3a.RemoteFileChangedException", "org.apache.hadoop.fs.FileAlreadyExistsException",
    "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException", "java.nio.file.FileAlreadyExistsException",
)  # fmt: skip

_JARS = {"s3a": "aws", "abfs": "azure", "abfss": "azure", "gs": "gcp"}


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

    @contextmanager
    def _hadoop(self, name: str) -> Iterator[tuple[Any, Any]]:
        """Hadoop's file system and path. Raises ConfigError without the store's jars, OSError when the store refuses."""
        from py4j.protocol import Py4JError

        path = java(self._session, "org.apache.hadoop.fs.Path")(self.path(name))
        try:
            fs = path.getFileSystem(self._session._jsc.hadoopConfiguration())
        except Py4JError as e:
            if _is_missing_jar(e):
                raise ConfigError(_no_jar(self._session, self.root)) from None
            raise OSError(f"{self.path(name)} cannot be reached") from None
        try:
            yield fs, path
        except Py4JError:
            raise OSError(f"{self.path(name)} cannot be read or written") from None

    def exists(self, name: str) -> bool:
        """Whether a file or folder is there."""
        if self.local:
            return local_path(self.path(name)).exists()
        with self._hadoop(name) as (fs, path):
            return bool(fs.exists(path))

    def read_text(self, name: str) -> str | None:
        """The text of a small file, or None when it is not there."""
        if self.local:
            try:
                return local_path(self.path(name)).read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
        from py4j.protocol import Py4JJavaError

        with self._hadoop(name) as (fs, path):
            for tried in range(READS):
                try:
                    return self._text(fs.open(path))
                except Py4JJavaError as e:
                    if _name(e) == _MISSING:
                        return None
                    if tried == READS - 1:
                        raise
                    time.sleep(0.1 * tried)  # most likely another put it anew while it was read
        raise AssertionError("a reading either succeeds or fails")

    def _text(self, stream: Any) -> str:
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
        with self._hadoop(name) as (fs, path):
            stream = fs.open(path)
            try:
                stream.seek(start)
                if length >= 0:
                    bounded = java(self._session, "org.apache.commons.io.input.BoundedInputStream")
                    stream = bounded(stream, length)
                return bytes(java(self._session, "org.apache.commons.io.IOUtils").toByteArray(stream))
            finally:
                stream.close()

    def write_text(self, name: str, text: str) -> None:
        """Write a small file whole."""
        if self.local:
            _write(local_path(self.path(name)), text)
            return
        with self._hadoop(name) as (fs, path):
            _fill(fs.create(path, True), text)

    def create(self, name: str, text: str) -> bool:
        """Write a small file whole unless it is there: of several who try at once, one does. Returns whether it was this one."""
        if self.local:
            target = local_path(self.path(name))
            if target.exists():
                return False
            with _alone(target):
                if target.exists():
                    return False
                _write(target, text)
                return True
        with self._hadoop(name) as (fs, path):
            if fs.hasPathCapability(path, IF_ABSENT):
                return self._put(name, text, IF_ABSENT, "true")
            if self.root.startswith("s3"):
                raise ConfigError(
                    f"{self.root}: S3 is asked to create files only where there are none, which needs hadoop-aws 3.4.2 or later and "
                    "fs.s3a.create.conditional.enabled=true: see docs/object_stores.md"
                )
            return self._settled(name, text, lambda: fs.create(path, False))

    def swap(self, name: str, before: str, after: str) -> bool:
        """Write a small file whole if its text still is `before`: of several who try at once, one does. Returns whether it was this one.

        Where a store cannot compare, the last of those who try at once does.
        """
        if self.local:
            target = local_path(self.path(name))
            with _alone(target):
                if self.read_text(name) != before:
                    return False
                _write(target, after)
                return True
        with self._hadoop(name) as (fs, path):
            compares = bool(fs.hasPathCapability(path, IF_SAME))
            # Before the text is read: if it changes after that, this is not its etag any more.
            etag = fs.getFileStatus(path).getEtag() if compares and fs.exists(path) else ""
            if self.read_text(name) != before:
                return False
            if compares:
                return self._put(name, after, IF_SAME, etag)
            _fill(fs.create(path, True), after)
            return self.read_text(name) == after

    def remove(self, name: str, before: str) -> bool:
        """Remove a small file of a local root if its text still is `before`. Returns whether it was. Stores do not offer this."""
        target = local_path(self.path(name))
        with _alone(target):
            same = self.read_text(name) == before
            if same:
                target.unlink()
            return same

    def _put(self, name: str, text: str, condition: str, value: str) -> bool:
        with self._hadoop(name) as (fs, path):
            return self._settled(
                name, text, lambda: fs.createFile(path).create().recursive().must(condition, value).build()
            )

    def _settled(self, name: str, text: str, create: Callable[[], Any]) -> bool:
        """Put a text under a condition. A put whose answer was lost is repeated and then refused: what is there tells."""
        from py4j.protocol import Py4JJavaError

        try:
            _fill(create(), text)
            return True
        except Py4JJavaError as e:
            if not _is_conflict(e):
                raise
        return self.read_text(name) == text

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens when it is not there."""
        if self.local:
            local_path(self.path(name)).unlink(missing_ok=True)
            return
        with self._hadoop(name) as (fs, path):
            fs.delete(path, False)

    def delete_folder(self, name: str) -> None:
        """Remove a folder with all that is in it; nothing happens when it is not there."""
        if self.local:
            shutil.rmtree(local_path(self.path(name)), ignore_errors=True)
            return
        with self._hadoop(name) as (fs, path):
            fs.delete(path, True)

    def matches(self) -> list[str]:
        """The root when it is there, else what it stands for as a pattern with `*`, `?` or `[...]`."""
        if self.exists("") or not glob.has_magic(self.root):
            return [self.root] if self.exists("") else []
        if self.local:
            return sorted(glob.glob(str(local_path(self.root))))
        with self._hadoop("") as (fs, path):
            return sorted(str(s.getPath().toString()) for s in fs.globStatus(path) or ())

    def files(self) -> Iterator[Entry]:
        """Every file below the root, or the root itself when it is a file, sorted by name; hidden names are left out."""
        found = self._local_files() if self.local else self._hadoop_files()
        yield from sorted(found, key=lambda e: e.name)

    def _local_files(self) -> list[Entry]:
        top = local_path(self.root)
        if top.is_file():
            return [Entry(str(top), top.name, top.stat().st_size)]
        below = [(p, p.relative_to(top).as_posix()) for p in top.rglob("*") if p.is_file()]
        return [Entry(str(p), name, p.stat().st_size) for p, name in below if not _hidden(name)]

    def _hadoop_files(self) -> list[Entry]:
        with self._hadoop("") as (fs, path):
            status = fs.getFileStatus(path)
            if status.isFile():
                return [Entry(str(path), str(path.getName()), int(status.getLen()))]
            base = str(status.getPath().toString()).rstrip("/") + "/"
            found = []
            walk = fs.listFiles(path, True)
            while walk.hasNext():
                one = walk.next()
                full = str(one.getPath().toString())
                found.append(Entry(full, full.removeprefix(base), int(one.getLen())))
            return [e for e in found if not _hidden(e.name)]


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """No other process or thread between a look at this file and a change of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            raise ConfigError(f"the file system of {target.parent} cannot lock files: use another") from None
        yield


def _write(target: Path, text: str) -> None:
    """Whole or not at all: readers never see a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _fill(stream: Any, text: str) -> None:
    try:
        stream.write(bytearray(text, "utf-8"))
    finally:
        stream.close()


def _is_conflict(error: Any) -> bool:
    """Whether a store refused a put because of its condition."""
    if _name(error) == "org.apache.hadoop.fs.s3a.AWSBadRequestException":
        return int(error.java_exception.statusCode()) == 409
    return _name(error) in _CONFLICTS


def _name(error: Any) -> str:
    """The class of a Java exception."""
    return str(error.java_exception.getClass().getName())


def _is_missing_jar(error: Any) -> bool:
    """Whether Hadoop knows no file system for such a URI."""
    text = str(getattr(error, "java_exception", ""))
    return "ClassNotFoundException" in text or "UnsupportedFileSystemException" in text


def _no_jar(session: SparkSession, root: str) -> str:
    scheme = root.split(":")[0]
    version = java(session, "org.apache.hadoop.util.VersionInfo").getVersion()
    jar = f"org.apache.hadoop:hadoop-{_JARS.get(scheme, scheme)}:{version}"
    return f"no jar of {scheme}:// is on the class path: give --packages {jar} before the job's name"
