"""The folder for spill and temporary files of a lake's jobs."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Make the folder and hold it with all other jobs that use it; the last one to end removes it. Raises OSError.

    A job that finds the lake busy must not take the spill of the one that is at work. A lock is gone with its process, so
    what a killed job left goes with the next one.
    """
    held = _held(folder)
    try:
        yield
    finally:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # another job is at work there
        else:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _held(folder: Path) -> int:
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks: then nobody removes the folder
            fcntl.flock(held, fcntl.LOCK_SH)
        if folder.exists() and os.path.samestat(os.fstat(held), folder.stat()):
            return held
        os.close(held)  # removed meanwhile by a job that ended
