"""An installation from `make bundle` where there is no network, no home and no root; and two installations on one lake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.cli import FIVE, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
PATH = "/usr/local/bin:/usr/bin:/bin"
# One process: what it says of its network, then the command.
OFFLINE = 'ip link set lo up && sed -n "s/^ *\\([^ :]*\\):.*/device \\1/p" /proc/net/dev && exec "$@"'


@dataclass(frozen=True)
class Installed:
    """What a bundle unpacked to, how to run there, and its two first starts, which came at once."""

    folder: Path
    who: list[str]
    starts: tuple[tuple[int, str], ...]

    @property
    def home(self) -> Path:
        return self.folder.parent / "home"

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """The launcher in a network of nothing but the loopback, in an environment of nothing but a path and an empty home."""
        as_root = os.geteuid() == 0
        command = [
            "unshare",
            "-n" if as_root else "-rn",
            "sh",
            "-c",
            OFFLINE,
            "sh",
            *self.who,
            "./spark-submit.sh",
            *argv,
        ]
        return subprocess.Popen(
            command, cwd=self.folder, env={"PATH": _path(), "HOME": str(self.home)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip


def _path() -> str:
    java = os.environ.get("JAVA_HOME")
    return (f"{java}/bin:" if java else "") + PATH + ":/usr/sbin:/sbin"


def _ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = child.communicate()
    return child.returncode, said


def _user() -> list[str]:
    """A prefix that runs as somebody who is not root, where that one has the Python that the bundle is for."""
    minor = sys.version_info[1]
    asks = f"import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, {minor}))"
    if os.geteuid() != 0:
        return []
    found = subprocess.run(
        [*NOBODY, "python3", "-c", asks], env={"PATH": _path()}, capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip(f"only root has a Python 3.{minor} with venv here")
    return NOBODY


@pytest.fixture(scope="module")
def installed():
    """A bundle of this checkout's last commit, unpacked and started twice at once by somebody who owns nothing else."""
    if not (ROOT / ".git").exists():
        pytest.skip("a bundle is made from a git checkout")
    tried = subprocess.run(
        ["unshare", "-n" if os.geteuid() == 0 else "-rn", "ip", "link", "set", "lo", "up"], capture_output=True, check=False
    ) if shutil.which("unshare") and shutil.which("ip") else None  # fmt: skip
    if tried is None or tried.returncode:
        pytest.skip("unshare may not make a network of its own here, or there is no ip")
    who = _user()
    top = Path(tempfile.mkdtemp(prefix="carelake-install-"))  # pytest's own folders are closed to others
    try:
        top.chmod(0o755)
        subprocess.run(["make", "--silent", "bundle", f"DIST={top}/dist"], cwd=ROOT, check=True)
        (bundle,) = (top / "dist").glob("carelake-*.tar.gz")
        place = top / "installed"
        (place / "home").mkdir(parents=True)
        if who:
            for folder in (place, place / "home"):
                os.chown(folder, 65534, 65534)
        subprocess.run([*who, "tar", "-xzf", str(bundle)], cwd=place, check=True)
        shutil.rmtree(top / "dist")
        (folder,) = place.glob("carelake-*")
        empty = Installed(folder, who, ())
        starts = tuple(_ended(c) for c in [empty.start("--prepare") for _ in range(2)])
        yield Installed(folder, who, starts)
    finally:
        shutil.rmtree(top)


def test_two_first_starts_at_once_set_up_once_without_network(installed):
    assert [code for code, _ in installed.starts] == [0, 0], installed.starts
    said = "".join(text for _, text in installed.starts)
    assert said.count("Setting up") == said.count("waiting for it") == 1
    assert "Fetching" not in said
    assert {line for line in said.splitlines() if line.startswith("device")} == {"device lo"}


def test_it_lands_without_network_and_writes_nothing_into_the_home(installed):
    given = [
        f"--source={n}={installed.folder / 'tests' / 'fixtures' / 'five_people' / n}"
        for n in ("fhir", "cms_rif")
    ]
    code, said = _ended(installed.start("--driver-memory", "1g", "pipeline", "--until", "bronze", *given))
    assert code == 0, said
    assert said.splitlines()[-1] == f"lake: {installed.folder}/lake"
    assert list((installed.folder / "lake" / "bronze" / "fhir").rglob("*.parquet"))
    assert list(installed.home.iterdir()) == []


def test_a_second_installation_is_told_that_a_lake_is_busy_and_goes_on_with_it_afterwards(
    installed, tmp_path
):
    lake, note = tmp_path / "lake", tmp_path / "note.json"
    command = ["./spark-submit.sh", "--driver-memory", "1g", "pipeline", "--lake", str(lake), "--until", "bronze",
               "--source", f"fhir={FIVE / 'fhir'}", "--json", str(note)]  # fmt: skip
    first = subprocess.Popen(command, cwd=ROOT)
    while not (lake / "ops" / "_lease.json").exists():
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGSTOP)  # so that it still holds the lake when the second comes
    second = subprocess.run(command, cwd=installed.folder, capture_output=True, text=True, check=False)
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert second.returncode == 15, second.stderr
    assert second.stderr.startswith(f"carelake: the lake {lake} is held by run ")
    subprocess.run(command, cwd=installed.folder, check=True)
    told = json.loads(note.read_text())
    assert {(r["rows_in"], r["rows_duplicate"]) for r in told["sources"] if r["kind"] == "Patient"} == {
        (5, 5)
    }
    assert [s["rows_written"] for s in told["steps"]] == [0]
