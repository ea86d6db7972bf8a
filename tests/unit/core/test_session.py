"""What a session is started with, without starting one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.session import archived_classes

if TYPE_CHECKING:
    from pathlib import Path


def test_an_archive_of_classes_that_failed_is_empty_and_not_used(tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    folder.mkdir()
    assert archived_classes(tmp_path) == ""
    (folder / "classes-17.0.15.jsa").touch()
    assert archived_classes(tmp_path) == ""
    (folder / "classes-17.0.15.jsa").write_text("what a JVM wrote")
    assert archived_classes(tmp_path).startswith(f' "-XX:SharedArchiveFile={folder}/classes-17.0.15.jsa"')
