"""spark-submit.sh, without network and without Spark: what it would start, what it refuses, what it passes on."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash", "sh", "dirname", "readlink", "sed", "awk", "cat", "id", "locale", "ls", "mkdir", "cmp", "grep", "chmod", "mv"
)  # fmt: skip
STUB = """
import os, signal, sys, time
def main(argv, environ):
    print(argv, flush=True)
    if "--wait" in argv:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(70))
        print("ready", flush=True)
        time.sleep(60)
    return int(argv[-1])
"""


@dataclass
class Started:
    """What the launcher would run."""

    code: int
    message: str
    environ: dict[str, str]
    command: list[str]

    @property
    def submit(self) -> list[str]:
        """The options that spark-submit gets."""
        return shlex.split(self.environ["PYSPARK_SUBMIT_ARGS"])

    def value(self, option: str) -> str:
        """The value of a spark-submit option, the last one given."""
        at = len(self.submit) - 1 - self.submit[::-1].index(option)
        return self.submit[at + 1]

    def conf(self, key: str) -> str | None:
        """The value of a --conf, the last one given."""
        pairs = [v.split("=", 1) for o, v in zip(self.submit, self.submit[1:], strict=False) if o == "--conf"]
        return dict(pairs).get(key)


@dataclass
class Machine:
    """A copy of the checkout on a machine that has just the tools that the test puts on it."""

    checkout: Path
    bin: Path
    cwd: Path

    def java(self, version: str | None) -> None:
        """A java that only tells its version; None: no java."""
        (self.bin / "java").unlink(missing_ok=True)
        if version:
            self._script("java", f"echo 'openjdk version \"{version}\" 2025-01-01' >&2")

    def python(self, works: bool) -> None:
        """A python3, or none."""
        (self.bin / "python3").unlink(missing_ok=True)
        if works:
            (self.bin / "python3").symlink_to(sys.executable)

    def _script(self, name: str, body: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def environ(self, **extra: str) -> dict[str, str]:
        return {
            "PATH": str(self.bin), "HOME": str(self.cwd), "CARELAKE_INSTALL": "never", "LANG": "C.UTF-8", **extra
        }  # fmt: skip

    def run(self, *args: str, script: Path | None = None, **environ: str) -> Started:
        done = subprocess.run(
            [str(script or self.checkout / "spark-submit.sh"), *args], cwd=self.cwd, capture_output=True,
            text=True, encoding="utf-8", env=self.environ(CARELAKE_DRY_RUN="1", **environ), check=False,
        )  # fmt: skip
        words = shlex.split(done.stdout) if done.returncode == 0 and "usage:" not in done.stdout else []
        assigned = [w for w in words if re.match(r"[A-Z_]+=", w)]
        return Started(
            done.returncode, done.stderr + ("" if words else done.stdout),
            dict(w.split("=", 1) for w in assigned), words[len(assigned) :],
        )  # fmt: skip

    def spark(self, core_jar: str) -> str:
        """A SPARK_HOME that holds this spark-core."""
        home = self.cwd / "spark home"
        (home / "jars").mkdir(parents=True)
        (home / "jars" / core_jar).touch()
        return str(home)

    def set_up(self) -> None:
        """A .venv that passes for prepared, with an app that needs no Spark."""
        venv = self.checkout / ".venv"
        for folder in ("bin", "jars", f"lib/python3.{sys.version_info.minor}/site-packages/pyspark"):
            (venv / folder).mkdir(parents=True)
        (venv / "bin" / "python").symlink_to(sys.executable)
        locks = b"".join((self.checkout / f).read_bytes() for f in ("pyproject.toml", "requirements.lock"))
        (venv / ".stamp-core").write_bytes(locks)
        (venv / "jars" / ".io.delta:delta-spark_4.2_2.13:4.4.0").touch()
        (venv / "classes-17.0.15.jsa").touch()
        package = self.checkout / "lib" / "carelake"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "app.py").write_text(STUB)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    checkout, binaries, cwd = tmp_path / "the clöne, #1", tmp_path / "bin", tmp_path / "elsewhere"
    for folder in (checkout, binaries, cwd):
        folder.mkdir()
    for name in ("spark-submit.sh", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, checkout)
    shutil.copytree(ROOT / "conf", checkout / "conf")
    shutil.copytree(ROOT / "jobs", checkout / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    for tool in TOOLS:
        if found := shutil.which(tool):
            (binaries / tool).symlink_to(found)
    machine = Machine(checkout, binaries, cwd)
    machine.java("17.0.15")
    machine.python(works=True)
    return machine


def test_options_before_the_job_go_to_spark_and_those_after_it_to_the_job(machine: Machine) -> None:
    started = machine.run(
        "--conf", "spark.sql.shuffle.partitions=7", "--name=a b", "pipeline", "--until", "gold", "--conf", "x"
    )
    assert started.conf("spark.sql.shuffle.partitions") == "7"
    assert "--name=a b" in started.submit
    assert started.submit[-1] == "pyspark-shell"
    assert started.command[1:] == [
        str(machine.checkout / "jobs" / "pipeline.py"),
        "--until",
        "gold",
        "--conf",
        "x",
    ]


def test_the_users_options_come_after_ours_so_that_they_win(machine: Machine) -> None:
    started = machine.run("--conf", "spark.local.dir=/spill", "--driver-memory", "3g", "pipeline")
    assert started.conf("spark.local.dir") == "/spill"
    assert [w for w in started.submit if w == "--driver-memory"] == ["--driver-memory"]
    assert started.value("--driver-memory") == "3g"


def test_driver_memory_is_between_1_and_8_gib_when_not_given(machine: Machine) -> None:
    memory = machine.run("pipeline").value("--driver-memory")
    assert memory.endswith("m")
    assert 1024 <= int(memory[:-1]) <= 8192


def test_no_master_is_this_machine_and_a_master_is_a_cluster(machine: Machine) -> None:
    conf = machine.checkout / "conf" / "spark"
    assert machine.run("pipeline").value("--properties-file") == str(conf / "local.conf")
    assert machine.run("--master", "local[1]", "score").value("--properties-file") == str(conf / "local.conf")
    cluster = machine.run("--master=spark://a:7077", "--py-files", "mine.py", "pipeline")
    assert cluster.value("--properties-file") == str(conf / "cluster.conf")
    assert cluster.value("--py-files").split(",")[0] == "mine.py"
    assert cluster.value("--py-files").endswith("carelake.zip")


def test_a_packed_environment_is_sent_to_a_cluster_where_it_was_made(machine: Machine) -> None:
    (machine.checkout / "dist").mkdir()
    (machine.checkout / "dist" / "env.tar.gz").touch()
    started = machine.run("--master", "yarn", "pipeline")
    assert started.value("--archives").endswith("dist/env.tar.gz#environment")
    assert started.environ["PYSPARK_PYTHON"] == "./environment/bin/python"


def test_cluster_deploy_mode_hands_the_job_to_spark_submit_as_a_file(machine: Machine) -> None:
    started = machine.run(
        "--master", "yarn", "--deploy-mode", "cluster", "pipeline", "--lake", "s3a://b/lake"
    )
    assert started.command[0].endswith("/bin/spark-submit")
    assert started.command[-3:] == [str(machine.checkout / "jobs" / "pipeline.py"), "--lake", "s3a://b/lake"]
    assert "io.delta:delta-spark_4.2_2.13:4.4.0" in started.command


def test_a_properties_file_of_the_user_wins_line_by_line_and_ours_fills_the_rest(machine: Machine) -> None:
    own = machine.cwd / "own.conf"
    own.write_text("# mine\nspark.sql.shuffle.partitions 9\nspark.driver.memory=2g\n")
    started = machine.run("--properties-file", str(own), "pipeline")
    assert started.value("--properties-file") == str(own)
    assert started.conf("spark.sql.shuffle.partitions") is None
    assert started.conf("spark.sql.extensions") == "io.delta.sql.DeltaSparkSessionExtension"
    assert "--driver-memory" not in started.submit


@pytest.mark.parametrize("lake", [["--lake", "my läke"], ["--lake=my läke"]])
def test_spill_and_temporary_files_lie_below_the_lake(machine: Machine, lake: list[str]) -> None:
    started = machine.run("pipeline", *lake)
    scratch = str(machine.cwd / "my läke" / ".tmp")
    assert started.conf("spark.local.dir") == scratch
    assert started.environ["TMPDIR"] == started.environ["CARELAKE_TMP"] == scratch
    assert f'"-Djava.io.tmpdir={scratch}"' in (started.conf("spark.driver.defaultJavaOptions") or "")
    assert not (machine.cwd / "my läke").exists()


def test_the_default_lake_is_below_the_callers_folder(machine: Machine) -> None:
    assert machine.run("pipeline").environ["CARELAKE_TMP"] == str(machine.cwd / "lake" / ".tmp")


def test_it_is_found_through_a_symbolic_link(machine: Machine) -> None:
    link = machine.cwd / "run"
    link.symlink_to(machine.checkout / "spark-submit.sh")
    assert machine.run("pipeline", script=link).command[1] == str(machine.checkout / "jobs" / "pipeline.py")


def test_deltas_jars_are_on_the_class_path_here_and_sent_to_a_cluster(machine: Machine) -> None:
    jar = machine.checkout / ".venv" / "jars" / "io.delta_delta-spark_4.2_2.13-4.4.0.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    here = machine.run("--driver-class-path", "/mine", "--jars", "mine.jar", "pipeline")
    assert here.value("--driver-class-path") == f"/mine:{jar.parent}/*"
    assert here.value("--jars") == "mine.jar"
    assert machine.run("--master", "yarn", "--jars", "mine.jar", "score").value("--jars") == f"mine.jar,{jar}"


def test_the_log_configuration_is_named_as_a_uri(machine: Machine) -> None:
    options = machine.run("pipeline").conf("spark.driver.defaultJavaOptions") or ""
    assert "/the%20cl%C3%B6ne%2C%20%231/conf/log4j2.properties" in options


def test_the_jvm_starts_from_the_archived_classes_of_its_own_java_version(machine: Machine) -> None:
    machine.set_up()
    archive = machine.checkout / ".venv" / "classes-17.0.15.jsa"
    option = f'"-XX:SharedArchiveFile={archive}"'
    assert "SharedArchiveFile" not in (machine.run("pipeline").conf("spark.driver.defaultJavaOptions") or "")
    archive.write_text("what a JVM wrote")
    assert option in (machine.run("pipeline").conf("spark.driver.defaultJavaOptions") or "")
    cluster = machine.run("--master", "spark://host:7077", "pipeline")
    assert "SharedArchiveFile" not in (cluster.conf("spark.driver.defaultJavaOptions") or "")
    machine.java("21.0.4")
    assert "SharedArchiveFile" not in (machine.run("pipeline").conf("spark.driver.defaultJavaOptions") or "")


def test_file_names_are_read_as_utf_8_in_a_c_locale(machine: Machine) -> None:
    assert "UTF-8" in machine.run("pipeline", LANG="C", LC_ALL="C").environ["LC_ALL"].upper()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "which job?"),
        (["no_such_job"], "no job 'no_such_job'"),
        (["--lake", "x", "pipeline"], "--lake is no option of spark-submit"),
        (["--master"], "--master needs a value"),
        (["--prepare", "all"], "--prepare takes"),
    ],
)
def test_a_wrong_command_line_is_exit_2_in_one_sentence(machine: Machine, args: list[str], says: str) -> None:
    started = machine.run(*args)
    assert started.code == 2
    assert says in started.message
    assert started.message.count("\n") == 1


def test_help_names_the_jobs_that_exist(machine: Machine) -> None:
    started = machine.run("--help")
    assert started.code == 0
    assert "jobs: pipeline to_bronze to_silver to_gold train score" in started.message
    (machine.checkout / "jobs" / "score.py").unlink()
    assert " score" not in machine.run("-h").message


@pytest.mark.parametrize(
    ("core", "says"),
    [
        ("spark-core_2.13-4.1.0.jar", "another Spark"),
        ("spark-core_2.12-3.5.1.jar", "another Spark"),
        ("spark-network_2.13-4.2.0.jar", "holds no Spark"),
    ],
)
def test_another_spark_is_exit_10_in_one_sentence(machine: Machine, core: str, says: str) -> None:
    started = machine.run("pipeline", SPARK_HOME=machine.spark(core))
    assert started.code == 10
    assert says in started.message
    assert started.message.count("\n") == 1


def test_a_spark_of_the_right_version_is_used(machine: Machine) -> None:
    home = machine.spark("spark-core_2.13-4.2.0.jar")
    (Path(home) / "conf").mkdir()
    (Path(home) / "conf" / "spark-defaults.conf").write_text("spark.master  yarn\n")
    started = machine.run("pipeline", SPARK_HOME=home)
    assert started.environ["SPARK_HOME"] == home
    assert started.value("--properties-file").endswith("cluster.conf")
    assert "--load-spark-defaults" in started.submit


@pytest.mark.parametrize("version", [None, "11.0.2", "1.8.0_392"])
def test_no_java_17_is_exit_10_and_says_what_to_install(machine: Machine, version: str | None) -> None:
    machine.java(version)
    started = machine.run("pipeline")
    assert started.code == 10
    assert "Java 17" in started.message
    assert "openjdk-17-jre-headless" in started.message
    assert started.message.count("\n") == 1


def test_no_python_is_exit_10_and_says_what_to_install(machine: Machine) -> None:
    machine.python(works=False)
    started = machine.run("pipeline")
    assert started.code == 10
    assert "Python 3.10" in started.message
    assert started.message.count("\n") == 1


@pytest.mark.parametrize("code", [0, 1, 2, 10, 13, 15])
def test_the_exit_code_and_the_arguments_of_the_job_come_through(machine: Machine, code: int) -> None:
    machine.set_up()
    expected = ["train", "--model", "a 'b' ü", str(code)]
    done = subprocess.run(
        [str(machine.checkout / "spark-submit.sh"), "train", "--model", "a 'b' ü", str(code)],
        cwd=machine.cwd, capture_output=True, text=True, encoding="utf-8", env=machine.environ(), check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stdout == f"{expected}\n"
    assert done.stderr == ""


@pytest.mark.timeout(60)
def test_sigterm_reaches_the_job(machine: Machine) -> None:
    machine.set_up()
    child = subprocess.Popen(
        [str(machine.checkout / "spark-submit.sh"), "train", "--wait"],
        cwd=machine.cwd, stdout=subprocess.PIPE, text=True, env=machine.environ(),
    )  # fmt: skip
    assert child.stdout
    while child.stdout.readline() != "ready\n":
        pass
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 70
    child.stdout.close()


def test_every_choice_of_pyproject_is_what_the_locks_pin() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    chosen = re.findall(r'^    "([A-Za-z-]+(?:\[\w+\])?==[^;"]+)', project, re.MULTILINE)
    locked = (ROOT / "requirements.lock").read_text() + (ROOT / "requirements-dev.lock").read_text()
    pinned = set(re.findall(r"^[^#;\s]+==[^;\s]+", locked, re.MULTILINE))
    assert len(chosen) > 20
    assert [c for c in chosen if re.sub(r"\[\w+\]", "", c.lower()) not in pinned] == []


def test_both_spark_configurations_name_each_key_once() -> None:
    for name in ("local.conf", "cluster.conf"):
        lines = (ROOT / "conf" / "spark" / name).read_text().splitlines()
        keys = [line.split()[0] for line in lines if line and not line.startswith("#")]
        assert len(keys) == len(set(keys))
        assert all(os.sep not in key for key in keys)
