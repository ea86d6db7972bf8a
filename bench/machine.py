"""Which machine, versions and commit a measurement speaks of, and how busy the machine was."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version

from bench.process import ROOT


def _says(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip()


def describe(*, short: bool = False) -> str:
    """One paragraph; `short` gives the load alone."""
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    if short:
        return load
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    java = _says("java", "-version").splitlines()[:1] or ["no Java"]
    commit = _says("git", "rev-parse", "--short", "HEAD") or "unknown"
    changed = (
        " with uncommitted changes" if _says("git", "status", "--porcelain", "--untracked-files=no") else ""
    )
    return (
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, commit {commit}{changed}. {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.machine()}; Python {platform.python_version()}, {java[0]}, "
        f"PySpark {version('pyspark')}, Delta {version('delta-spark')}. Before: {load} (a load above zero is other work "
        "on the same machine)."
    )
