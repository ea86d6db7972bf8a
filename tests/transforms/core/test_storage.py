"""Storage: the same bytes from the local disk and through Hadoop's file systems."""

from __future__ import annotations

import pytest

from carelake.core import storage
from carelake.core.storage import Storage

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
