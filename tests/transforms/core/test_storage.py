"""Storage: the same bytes from the local disk and through Hadoop's file systems."""

from __future__ import annotations

import pytest

from carelake.core import storage
from carelake.core.storage import Storage
from carelake.errors import ConfigError

TEXT = "häufig\n".encode() * 3


@pytest.fixture(params=["local", "hadoop"])
def place(request, spark, tmp_path, monkeypatch):
    """A folder with one file, reached by Python or by Hadoop, which also knows the local disk."""
    (tmp_path / "a.bin").write_bytes(TEXT)
    if request.param == "hadoop":
        monkeypatch.setattr(storage, "is_local", lambda uri: False)
    return Storage(str(tmp_path), spark)


def test_all_of_a_file_or_a_piece_of_it_is_read(place):
    assert place.read_bytes("a.bin") == TEXT
    assert place.read_bytes("a.bin", 8) == TEXT[8:]
    assert place.read_bytes("a.bin", 2, 5) == TEXT[2:7]
    assert place.read_bytes("a.bin", len(TEXT)) == b""


def test_a_file_that_is_not_there_is_an_error_of_the_operating_system(place):
    with pytest.raises(OSError, match=r"b\.bin"):
        place.read_bytes("b.bin")


def test_a_file_is_created_once(place):
    assert place.create("ops/lease", "mine")
    assert not place.create("ops/lease", "theirs")
    assert place.read_text("ops/lease") == "mine"


def test_a_file_is_swapped_only_for_what_was_read(place):
    assert not place.swap("lease", "mine", "theirs"), "there is none"
    place.write_text("lease", "mine")
    assert place.swap("lease", "mine", "theirs")
    assert not place.swap("lease", "mine", "mine again")
    assert place.read_text("lease") == "theirs"


def test_files_are_found_in_folders_and_by_patterns_without_hidden_ones(place):
    for name in ("b/1.txt", "b/2.txt", "b/.3.txt", ".c/4.txt"):
        place.write_text(name, "x")
    assert [e.name for e in place.files()] == ["a.bin", "b/1.txt", "b/2.txt"]
    pattern = Storage(place.path("b/*.txt"), place.spark)
    assert [p.rsplit("/", 1)[1] for p in pattern.matches() if "/." not in p] == ["1.txt", "2.txt"]
    assert Storage(place.path("nowhere"), place.spark).matches() == []
    assert [e.name for p in pattern.matches()[-1:] for e in Storage(p, place.spark).files()] == ["2.txt"]


def test_a_store_without_its_jar_is_named_with_the_jar(spark):
    with pytest.raises(ConfigError, match=r"--packages org.apache.hadoop:hadoop-aws:3\."):
        Storage("s3a://bucket/lake", spark).exists("")
