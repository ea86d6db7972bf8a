"""spark-submit.sh, without network and without Spark: what it would start, what it refuses, what it passes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.cli import ROOT

if TYPE_CHECKING:
    from tests.helpers.machine import Machine


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


def test_a_user_without_a_name_is_exit_10_in_one_sentence(machine: Machine) -> None:
    machine.nameless()
    started = machine.run("pipeline")
    assert started.code == 10
    assert started.message == (
        "spark-submit.sh: the user 1000660000 has no name on this machine and Spark asks for one: "
        "add the user to /etc/passwd, or start as another.\n"
    )


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
