"""The launcher's set-up, for real but small: a venv, pip and a wheel from vendor/, in a checkout that is not always ours."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.helpers.cli import bound

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.machine import Machine

DELTA = "io.delta_delta-spark_4.2_2.13-4.4.0.jar"


def _wheel(folder: Path, name: str, version: str) -> None:
    """The smallest package that pip installs."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def bundled(machine: Machine) -> Machine:
    """A checkout as `make bundle` packs one, with a Spark that is one empty package."""
    vendor = machine.checkout / "vendor"
    for folder in ("wheels", "jars"):
        (vendor / folder).mkdir(parents=True)
    (machine.checkout / "requirements.lock").write_text("pyspark==4.2.0\n")
    _wheel(vendor / "wheels", "pyspark", "4.2.0")
    (vendor / "jars" / DELTA).write_text("Delta")
    (vendor / "python").write_text(f"{sys.version_info[0]}.{sys.version_info[1]}\n")
    return machine


def _prepare(machine: Machine) -> subprocess.Popen[str]:
    # An index that nobody answers: whoever asked it would fail.
    environ = machine.environ(PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    return subprocess.Popen(
        [*bound(), str(machine.checkout / "spark-submit.sh"), "--prepare"], cwd=machine.cwd, env=environ,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
    )  # fmt: skip


def _ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = child.communicate(timeout=120)
    return child.returncode, said


def test_packages_and_jars_come_from_a_bundle_and_no_index_is_asked(bundled: Machine) -> None:
    code, said = _ended(_prepare(bundled))
    assert code == 0, said
    assert "Fetching" not in said
    venv = bundled.checkout / ".venv"
    assert list(venv.glob("lib/python3.*/site-packages/pyspark/__init__.py"))
    assert (venv / "jars" / DELTA).read_text() == "Delta"
    cluster = bundled.run("--master", "yarn", "--deploy-mode", "cluster", "score").command
    assert cluster[cluster.index("--jars") + 1] == str(bundled.checkout / "vendor" / "jars" / DELTA)
    assert "--packages" not in cluster


def test_two_first_starts_at_once_set_up_once_and_both_go_on(bundled: Machine) -> None:
    children = [_prepare(bundled) for _ in range(2)]
    ended = [_ended(c) for c in children]
    assert [code for code, _ in ended] == [0, 0], ended
    said = "".join(text for _, text in ended)
    assert said.count("Setting up") == 1
    assert said.count("waiting for it") == 1
    assert not (bundled.checkout / ".venv" / ".unfinished").exists()


def test_a_bundle_of_another_python_is_exit_10_in_one_sentence(bundled: Machine) -> None:
    (bundled.checkout / "vendor" / "python").write_text("3.9\n")
    code, said = _ended(_prepare(bundled))
    assert code == 10
    assert "Python 3.9 is needed" in said
    assert "make bundle" in said
    assert said.count("\n") == 1


def test_a_bundle_without_a_package_for_this_machine_says_so(bundled: Machine) -> None:
    (bundled.checkout / "vendor" / "wheels" / "pyspark-4.2.0-py3-none-any.whl").unlink()
    code, said = _ended(_prepare(bundled))
    assert code == 10
    assert "the bundle is damaged, or of another system or processor" in said
    assert said.count("\n") == 2  # and that it began


def test_a_checkout_that_may_not_be_written_is_exit_10_and_says_what_to_do(bundled: Machine) -> None:
    bundled.checkout.chmod(0o555)
    code, said = _ended(_prepare(bundled))
    bundled.checkout.chmod(0o755)
    assert code == 10
    assert "cannot write" in said
    assert "--prepare once as the owner" in said
    assert said.count("\n") == 1


def test_a_checkout_that_somebody_else_set_up_needs_no_right_to_write(machine: Machine) -> None:
    machine.set_up()
    for folder in (machine.checkout, machine.checkout / ".venv"):
        folder.chmod(0o555)
    done = subprocess.run(
        [*bound(), str(machine.checkout / "spark-submit.sh"), "train", "0"],
        cwd=machine.cwd, capture_output=True, text=True, encoding="utf-8", env=machine.environ(), check=False,
    )  # fmt: skip
    for folder in (machine.checkout, machine.checkout / ".venv"):
        folder.chmod(0o755)
    assert (done.returncode, done.stdout, done.stderr) == (0, "['train', '0']\n", "")
