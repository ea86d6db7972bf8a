"""What a session is started with, without starting one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.session import with_delta

if TYPE_CHECKING:
    from pathlib import Path


def test_an_archive_of_classes_that_failed_is_empty_and_not_used(tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    (folder / "jars").mkdir(parents=True)
    (folder / "jars" / "delta.jar").touch()
    on_path = {"spark.driver.extraClassPath": f"{folder}/jars/*"}
    assert with_delta(tmp_path) == (on_path, "")
    (folder / "classes-17.0.15.jsa").touch()
    assert with_delta(tmp_path) == (on_path, "")
    (folder / "classes-17.0.15.jsa").write_text("what a JVM wrote")
    settings, options = with_delta(tmp_path)
    assert settings == on_path
    assert options.startswith(f'"-XX:SharedArchiveFile={folder}/classes-17.0.15.jsa"')


def test_without_jars_at_hand_spark_fetches_them(tmp_path: Path) -> None:
    settings, options = with_delta(tmp_path)
    assert set(settings) == {"spark.jars.packages"}
    assert options == ""
