"""One writer per lake: a lease file with holder, heartbeat and expiry."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from carelake.errors import LakeBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carelake.core.storage import Storage

LEASE = "ops/_lease.json"
HEARTBEAT_SECONDS = 15.0
EXPIRY_SECONDS = 90.0


def _is_dead(holder: dict[str, Any], now: float) -> bool:
    """A holder is dead when its lease ran out, or when it ran on this machine and its process is gone."""
    if now > float(holder.get("expires", 0)):
        return True
    if holder.get("host") != socket.gethostname():
        return False
    pid = int(holder.get("pid", -1))
    if _started(pid) != holder.get("process_started"):
        return True  # the number was given to another process since
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _started(pid: int) -> str | None:
    """When the process began, in clock ticks since boot; None where the system does not tell."""
    with (
        contextlib.suppress(OSError, IndexError),
        open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f,
    ):
        return f.read().rsplit(")", 1)[1].split()[19]
    return None


def _holder(storage: Storage) -> dict[str, Any] | None:
    """Who holds the lake; no one when the file is gone or empty, None when it is damaged."""
    with contextlib.suppress(ValueError):
        found = json.loads(storage.read_text(LEASE) or "{}")
        if isinstance(found, dict) and isinstance(found.get("expires", 0), (int, float)):
            return found
    return None


@contextmanager
def held(storage: Storage, run_id: str) -> Iterator[None]:
    """Hold the lake's lease. Raises LakeBusyError when a living run has it; takes over a dead one's."""

    def text() -> str:
        return json.dumps({
            "run_id": run_id, "pid": os.getpid(), "host": socket.gethostname(),
            "process_started": _started(os.getpid()), "expires": time.time() + EXPIRY_SECONDS,
        })  # fmt: skip

    for _ in range(3):
        if storage.write_text(LEASE, text(), exclusive=True):
            break
        holder = _holder(storage)
        if holder is None:
            raise LakeBusyError(
                f"{storage.path(LEASE)} cannot be read: if it stays so and no run is going on, delete it"
            )
        if not _is_dead(holder, time.time()):
            raise LakeBusyError(
                f"the lake {storage.root} is held by run {holder.get('run_id')}: wait for it to end"
            )
        storage.delete(LEASE)
    else:
        raise LakeBusyError(f"the lake {storage.root} is being taken by another run: try again")
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(Exception):
                storage.write_text(LEASE, text())

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
        storage.delete(LEASE)
