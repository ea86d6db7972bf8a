"""Opening what is to be read, from the local disk or a store that pyarrow reaches."""

from __future__ import annotations

import gzip
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from carelake.core.storage import is_local, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def stamp(path: str) -> tuple[int, int] | None:
    """Size and time of the last change of a file, which tell whether it changed meanwhile; None when it is gone."""
    if is_local(path):
        try:
            found = local_path(path).stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns
    from pyarrow import fs

    files, inner = fs.FileSystem.from_uri(path.replace("s3a://", "s3://"))
    info = files.get_file_info(inner)
    return None if info.type is fs.FileType.NotFound else (info.size, info.mtime_ns or 0)


@contextmanager
def opened(path: str, *, unpack: bool = False) -> Iterator[BinaryIO]:
    """The file's bytes; with `unpack` those inside its gzip, when it is one (by its first bytes, not its name)."""
    if is_local(path):
        raw: BinaryIO = local_path(path).open("rb")
    else:
        from pyarrow import fs

        files, inner = fs.FileSystem.from_uri(path.replace("s3a://", "s3://"))
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
