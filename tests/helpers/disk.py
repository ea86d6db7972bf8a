"""A disk that is full when a test says so: a small one of its own where that may be mounted, else a limit on what the JVM writes."""

from __future__ import annotations

import resource
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carelake.core.jvm import java

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

MIB = 320  # a landing asks for 256 before it begins


@dataclass
class Disk:
    """A folder, and how to leave no room in it and to make room again."""

    folder: Path
    jvm: int
    mounted: bool

    def fill(self) -> None:
        if not self.mounted:
            resource.prlimit(self.jvm, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with (self.folder / "ballast").open("wb", buffering=0) as f:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        if not self.mounted:
            resource.prlimit(
                self.jvm, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        (self.folder / "ballast").unlink(missing_ok=True)


@contextmanager
def small_disk(spark: SparkSession, folder: Path) -> Iterator[Disk]:
    folder.mkdir(parents=True, exist_ok=True)
    jvm = int(java(spark, "java.lang.ProcessHandle").current().pid())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MIB}m", "tmpfs", str(folder)]
    disk = Disk(folder, jvm, subprocess.run(mount, capture_output=True, check=False).returncode == 0)
    try:
        yield disk
    finally:
        disk.free()
        if disk.mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
