"""What a session is started with, without starting one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from carelake.core.session import properties, with_delta
from tests.helpers.cli import ROOT

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


@pytest.mark.parametrize("place", ["local", "cluster"])
def test_keys_of_stores_are_left_out_where_spark_shows_its_settings(place: str) -> None:
    shown = re.compile(properties(ROOT / "conf" / "spark" / f"{place}.conf")["spark.redaction.regex"])
    for name in (
        "spark.hadoop.fs.s3a.access.key", "spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.session.token",
        "spark.executorEnv.AWS_ACCESS_KEY_ID", "spark.executorEnv.AWS_SECRET_ACCESS_KEY",
        "spark.hadoop.fs.azure.account.key.a.dfs.core.windows.net", "spark.hadoop.fs.azure.sas.fixed.token.c.a",
    ):  # fmt: skip
        assert shown.search(name), name
    assert not shown.search("spark.hadoop.fs.s3a.endpoint")
