"""Opening what is to be read, from the local disk or a store that pyarrow reaches."""

from __future__ import annotations

import gzip
import io
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlencode, urlsplit

from carelake.core.storage import is_local, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession


def store(path: str, session: SparkSession) -> str:
    """What pyarrow has to be told of the S3 of a path: the endpoint and region that s3a was given, never its keys; else "".

    Workers find the keys as s3a does: in their environment, or by the role of their machine.
    """
    where = urlsplit(path)
    if where.scheme != "s3a":
        return ""
    conf = session._jsc.hadoopConfiguration()

    def told(key: str) -> str:
        return str(conf.get(f"fs.s3a.bucket.{where.netloc}.{key}") or conf.get(f"fs.s3a.{key}") or "")

    options = {"region": told("endpoint.region")}
    endpoint = told("endpoint")
    if endpoint and "amazonaws.com" not in endpoint:
        scheme = "http" if told("connection.ssl.enabled") == "false" else "https"
        full = urlsplit(endpoint if "://" in endpoint else f"{scheme}://{endpoint}")
        options |= {"scheme": full.scheme, "endpoint_override": full.netloc}
    return f"s3://{where.netloc}?{urlencode({k: v for k, v in options.items() if v})}"


@lru_cache(16)
def _reached(uri: str) -> tuple[Any, str]:
    """A file system and the path in it: asked for once by the files of one store."""
    from pyarrow import fs

    found: tuple[Any, str] = fs.FileSystem.from_uri(uri)
    return found


def stamp(path: str, store: str = "") -> tuple[int, int] | None:
    """Size and time of the last change of a file, which tell whether it changed meanwhile; None when it is gone."""
    if is_local(path):
        try:
            found = local_path(path).stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns
    files, inner = _inside(path, store)
    info = files.get_file_info(inner)
    return (info.size, info.mtime_ns or 0) if info.is_file else None


def _inside(path: str, store: str) -> tuple[Any, str]:
    """The file system of a path that is not local, and the path in it."""
    files, inner = _reached(store or path)
    return files, path.removeprefix("s3a://") if store else inner


@contextmanager
def opened(path: str, store: str = "", *, unpack: bool = False) -> Iterator[BinaryIO]:
    """The file's bytes; with `unpack` those inside its gzip, when it is one (by its first bytes, not its name)."""
    if is_local(path):
        raw: BinaryIO = local_path(path).open("rb")
    else:
        files, inner = _inside(path, store)
        raw = cast("BinaryIO", io.BufferedReader(files.open_input_file(inner), 1 << 20))
    with raw:
        if not unpack:
            yield raw
            return
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=raw) as inside:
                yield cast("BinaryIO", io.BufferedReader(inside, 1 << 20))
        else:
            yield raw
