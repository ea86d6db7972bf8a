"""Running the command line as a child process, as a user does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIVE = ROOT / "tests" / "fixtures" / "five_people"


def five_people(*names: str) -> list[str]:
    """`--source` options of the five-person fixture."""
    return [
        x
        for n in names or ("fhir", "cms_rif", "fitbit", "enrollment")
        for x in ("--source", f"{n}={FIVE / n}")
    ]


def carelake(
    *argv: str, env: dict[str, str] | None = None, timeout: float = 1200
) -> subprocess.CompletedProcess[str]:
    """Run `./spark-submit.sh`, which becomes the job's own process."""
    return subprocess.run(
        [str(ROOT / "spark-submit.sh"), *argv],
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def bound() -> list[str]:
    """A prefix of a command that makes permissions hold: root may write anywhere."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("the tests run as root, and there is no setpriv to give its rights up")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


def digest(lake: Path | str, *spark: str, env: dict[str, str] | None = None) -> dict[str, tuple[int, str]]:
    """`quality --digest` by table; `spark` are options of spark-submit."""
    done = carelake(*spark, "quality", "--lake", str(lake), "--digest", env=env)
    assert done.returncode == 0, done.stderr
    rows = (line.split() for line in done.stdout.splitlines() if line.count("/"))
    return {name: (int(n), h) for h, n, name in rows}


def note(path: Path) -> dict[str, Any]:
    """What `--json` wrote."""
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
