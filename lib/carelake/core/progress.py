"""Progress on a terminal; quiet when there is none."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Progress:
    """One line per finished step: stage, table, rows, seconds. Never a value of a record."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, stage: str, table: str, rows: int, seconds: float, note: str = "") -> None:
        """Say that a step is done."""
        if self.stream.isatty():
            with self._lock:
                total = time.monotonic() - self._started
                self.stream.write(
                    f"{total:6.1f} s  {stage:<10} {table:<38} {rows:>10,} rows {seconds:6.1f} s {note}\n"
                )
                self.stream.flush()

    def say(self, text: str) -> None:
        """Say a sentence."""
        if self.stream.isatty():
            with self._lock:
                self.stream.write(f"{time.monotonic() - self._started:6.1f} s  {text}\n")
                self.stream.flush()
