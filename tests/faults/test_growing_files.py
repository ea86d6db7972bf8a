"""A file that is still being written is left to the next run, and the others load."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from carelake.bronze.land import land
from carelake.bronze.look import look
from carelake.bronze.source import Unit
from carelake.bronze.table import bronze_table
from carelake.core.config import Sender
from carelake.core.lake import DeltaLake
from carelake.core.ops import FILE
from carelake.core.runlog import RunLog
from carelake.errors import CarelakeError
from carelake.sources.fhir import SOURCE

NOW = datetime(2024, 9, 1, tzinfo=timezone.utc)


def _line(key):
    return json.dumps({"resourceType": "Patient", "id": key, "birthDate": "1950-01-02"}) + "\n"


@pytest.fixture
def sent(tmp_path):
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "Patient.whole.ndjson").write_text(_line("p1") + _line("p2"))
    (folder / "Patient.grows.ndjson").write_text(_line("p3"))
    return folder


def _land(lake, source, folder, run_id):
    log = RunLog(lake, run_id, "to_bronze", NOW)
    log.open()
    added = land(lake, log, look(lake, Sender("fhir", "fhir", str(folder)), source), NOW)
    log.flush()
    files = {
        r["file"]: (r["status"], r["units"]) for r in lake.read(FILE).where(f"run_id = '{run_id}'").collect()
    }
    return added, files


def _keys(lake):
    return sorted(r["record_key"] for r in lake.read(bronze_table("fhir")).collect())


def _written_on(path, more):
    """The writer goes on: the file is longer and newer."""
    with Path(path).open("a") as f:
        f.write(more)


def _while_inspected(folder):
    """A source in whose first look at the file more of it is written."""
    path, more = str(folder / "Patient.grows.ndjson"), _line("p4")

    def extract_date(name, head):
        if "grows" in name:
            with open(path, "a") as f:
                f.write(more)
        return "2024-09-01"

    return replace(SOURCE, extract_date=extract_date)


def _while_read(folder):
    """A source that has read a record when the next is written."""
    path, more = str(folder / "Patient.grows.ndjson"), _line("p4")

    def units(stream, name):
        for n, line in enumerate(stream.read().splitlines()):
            key = json.loads(line)["id"]
            yield Unit("Patient", key, None, line, 0 if n == 0 else n, n + 1)
            if "grows" in name:
                with open(path, "a") as f:
                    f.write(more)

    return replace(SOURCE, units=units)


@pytest.mark.parametrize("writer", [_while_inspected, _while_read])
def test_a_file_that_changes_while_it_is_read_is_loaded_by_the_next_run(spark, tmp_path, sent, writer):
    lake = DeltaLake(spark, str(tmp_path / "lake"))
    added, files = _land(lake, writer(sent), sent, "20240901T000000.000000Z-1")
    assert (added, files) == (
        2,
        {"Patient.whole.ndjson": ("landed", 2), "Patient.grows.ndjson": ("growing", 0)},
    )
    assert _keys(lake) == ["p1", "p2"]
    added, files = _land(lake, SOURCE, sent, "20240901T000000.000001Z-1")
    assert files["Patient.whole.ndjson"] == ("duplicate", 2)
    assert files["Patient.grows.ndjson"] == ("landed", added) and added >= 2
    assert _keys(lake)[:4] == ["p1", "p2", "p3", "p4"]
    print(f"{writer.__name__}: 1 of 1 growing files left out, then landed with {added} records")


def test_a_file_that_is_gone_when_it_is_to_be_read_hinders_no_other(spark, tmp_path, sent):
    gone = str(sent / "Patient.grows.ndjson")

    def extract_date(name, head):
        if "grows" in name:
            os.unlink(gone)
        return "2024-09-01"

    lake = DeltaLake(spark, str(tmp_path / "lake"))
    _, files = _land(lake, replace(SOURCE, extract_date=extract_date), sent, "20240901T000000.000000Z-1")
    assert files == {"Patient.whole.ndjson": ("landed", 2), "Patient.grows.ndjson": ("growing", 0)}


def test_a_reader_that_fails_on_a_file_that_stays_as_it_is_is_no_growing_file(spark, tmp_path, sent):
    def units(stream, name):
        raise RuntimeError("planted")

    lake = DeltaLake(spark, str(tmp_path / "lake"))
    with pytest.raises(Exception, match="planted") as failed:
        _land(lake, replace(SOURCE, units=units), sent, "20240901T000000.000000Z-1")
    assert not isinstance(failed.value, CarelakeError)
