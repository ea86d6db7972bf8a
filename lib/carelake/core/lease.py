"""One writer per lake: a lease file with holder, heartbeat and expiry, which only its holder can renew (docs/adr/0014)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carelake.core.failure import unreachable
from carelake.errors import ConfigError, LakeBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carelake.core.storage import Storage

LEASE = "ops/_lease.json"
HEARTBEAT_SECONDS = 15.0
EXPIRY_SECONDS = 90.0


@dataclass
class Lease:
    """The lease of one run. Every change is made only if the file still is what was read."""

    storage: Storage
    run_id: str
    lost: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        """Take the lease. Raises LakeBusyError when a living run has it; takes over a dead one's."""
        for _ in range(3):
            try:
                if self.storage.create(LEASE, self._text()):
                    break
            except OSError:
                raise unreachable(self.storage.root) from None
            current = self._current()
            if current is None:
                continue
            holder = _holder(current)
            if (
                holder is None
            ):  # perhaps half of a living run's, where a store shows files while they are written
                raise LakeBusyError(
                    f"{self.storage.path(LEASE)} cannot be read: if it stays so and no run is going on, delete it"
                )
            if not _is_dead(holder, time.time()):
                raise LakeBusyError(
                    f"the lake {self.storage.root} is held by run {holder.get('run_id')}: wait for it to end"
                )
            if self.storage.swap(LEASE, current, self._text()):
                break
        else:
            raise LakeBusyError(f"the lake {self.storage.root} is being taken by another run: try again")
        if not self.storage.local and self.storage.create(LEASE, self._text()):
            raise ConfigError(
                f"the store of {self.storage.root} put a file where there was one although asked not to: "
                "it cannot keep two writers apart, see docs/object_stores.md"
            )

    def renew(self) -> None:
        """Go on holding the lease. Raises LakeBusyError when another run took it over: then this one must not write any more."""
        with self._lock:
            if not self.lost:
                current = self._mine()
                self.lost = current is None or not self.storage.swap(LEASE, current, self._text())
        if self.lost:
            raise LakeBusyError(
                f"another run took over the lake {self.storage.root}: this one stops and publishes nothing"
            )

    def release(self) -> None:
        """Let the next run have the lake, unless another has it by now: removed, which a full disk does not hinder. On a store it stays, run out."""
        with self._lock:
            current = self._mine()
            if current is None:
                return
            if self.storage.local:
                self.storage.remove(LEASE, current)
            else:
                self.storage.swap(LEASE, current, self._text(seconds=-EXPIRY_SECONDS))

    def _mine(self) -> str | None:
        """The lease as it lies there, when it is this run's."""
        current = self._current()
        holder = _holder(current or "") or {}
        return current if holder.get("run_id") == self.run_id else None

    def _current(self) -> str | None:
        try:
            return self.storage.read_text(LEASE)
        except UnicodeDecodeError:
            return ""  # damaged

    def _text(self, seconds: float = EXPIRY_SECONDS) -> str:
        return json.dumps({
            "run_id": self.run_id, "pid": os.getpid(), "host": socket.gethostname(),
            "process_started": _started(os.getpid()), "expires": time.time() + seconds,
        })  # fmt: skip


def _holder(text: str) -> dict[str, Any] | None:
    """What a lease says; None when it cannot be read."""
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict) and isinstance(found.get("expires", 0), (int, float)):
            return found
    return None


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


@contextmanager
def held(storage: Storage, run_id: str, stop: Callable[[], None] = lambda: None) -> Iterator[Lease]:
    """Hold the lake's lease, which whoever writes renews before each commit. Raises LakeBusyError when it cannot be had, or is lost.

    `stop` ends what is being computed once the lease is lost; it is called again until the block is left.
    """
    lease = Lease(storage, run_id)
    lease.take()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(1.0 if lease.lost else HEARTBEAT_SECONDS):
            with contextlib.suppress(
                Exception
            ):  # no answer from the store: the next beat or commit asks again
                try:
                    lease.renew()
                except LakeBusyError:
                    stop()

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    except Exception:
        if lease.lost:
            lease.renew()  # says so, in place of whatever that led to
        raise
    finally:
        done.set()
        thread.join(timeout=5)
        with contextlib.suppress(Exception):
            lease.release()
