"""The folder for temporary files: shared by the jobs of a lake, removed by the last."""

import os
import signal
import subprocess
import sys

from carelake.core.scratch import shared

HOLD = """
import sys, time
from pathlib import Path
from carelake.core.scratch import shared
with shared(Path(sys.argv[1])):
    Path(sys.argv[1], "spill").touch()
    print("held", flush=True)
    sys.stdin.readline()
"""


def _other(folder):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    return child


def test_a_job_that_ends_leaves_the_folder_to_the_one_at_work_and_the_last_removes_it(tmp_path):
    folder = tmp_path / ".tmp"
    other = _other(folder)
    with shared(folder):
        assert (folder / "spill").exists()
    assert (folder / "spill").exists()
    other.communicate("go\n", timeout=30)
    assert not folder.exists()


def test_what_a_killed_job_left_goes_with_the_next(tmp_path):
    folder = tmp_path / ".tmp"
    other = _other(folder)
    os.kill(other.pid, signal.SIGKILL)
    other.communicate(timeout=30)
    assert (folder / "spill").exists()
    with shared(folder):
        pass
    assert not folder.exists()
