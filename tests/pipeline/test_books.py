"""Every record of the five people is accounted for; nothing happens twice; what goes wrong is said in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.books import counted, handed_on, lines, read, tables, unbalanced, versions
from tests.helpers.cli import FIVE, carelake, five_people, note

pytestmark = pytest.mark.timeout(1800)  # a run takes a minute or two, on a machine that others use far longer

SOURCES = ("fhir", "cms_rif", "fitbit", "enrollment")


def test_every_line_of_every_file_is_in_the_ledger(five_lake):
    ledger = {(r["source"], r["kind"]): r for r in five_lake.rows("ops/ledger") if r["stage"] == "bronze"}
    files = {(r["source"], r["file"]): r["units"] for r in five_lake.rows("ops/file")}
    mine: Counter[tuple[str, str]] = Counter()
    for source in SOURCES:
        for file, kinds in counted(FIVE / source).items():
            assert files.pop((source, file)) == sum(kinds.values()), file
            mine.update({(source, kind): n for kind, n in kinds.items()})
    assert files == {}
    assert (
        sum(mine.values()) == 2071 + 463 + 2970 + 3
    )  # resources, claims lines with enrolment years, device rows, accounts
    assert {k: r["rows_in"] for k, r in ledger.items()} == dict(mine)
    assert {k: r["rows_written"] for k, r in ledger.items()} == dict(mine), "there is nothing bad in them"


def test_bronze_holds_each_line_as_sent(five_lake):
    for source in ("fhir", "enrollment"):
        sent = Counter()
        for path in sorted((FIVE / source).iterdir()):
            found = lines(path)
            sent.update(found if ".ndjson" in path.name else found[1:])
        assert Counter(r["raw"] for r in five_lake.rows(f"bronze/{source}", ["raw"])) == sent


def test_the_books_balance(five_lake):
    assert unbalanced(five_lake.lake) == []


def test_each_stage_examines_what_the_stage_before_it_wrote(five_lake):
    assert handed_on(five_lake.lake, five_lake.note["run_id"]) == []


def test_the_same_files_again_land_nothing_and_change_nothing(five_lake, tmp_path):
    lake, told = tmp_path / "lake", tmp_path / "note.json"
    shutil.copytree(five_lake.lake, lake)
    before, snapshot = versions(lake, "bronze", "silver", "gold"), versions(lake, "ops")["ops/snapshot"]
    again = carelake("pipeline", "--lake", str(lake), *five_people(), "--until", "gold", "--json", str(told))
    assert again.returncode == 0, again.stderr
    assert versions(lake, "bronze", "silver", "gold") == before
    assert versions(lake, "ops")["ops/snapshot"] == snapshot, "nothing new is published"
    run = note(told)
    rows = [r for r in read(lake, "ops/ledger").to_pylist() if r["run_id"] == run["run_id"]]
    assert {r["stage"] for r in rows} == {"bronze"}
    assert all(r["rows_in"] == r["rows_duplicate"] > 0 for r in rows)
    first = {
        (r["source"], r["kind"]): r["rows_in"] for r in five_lake.rows("ops/ledger") if r["stage"] == "bronze"
    }
    assert {(r["source"], r["kind"]): r["rows_in"] for r in rows} == first
    assert all(s["skipped"] for s in run["steps"] if s["stage"] != "bronze")
    assert run["persons_affected"] == 0
    assert unbalanced(lake) == []


def test_silver_gold_and_ops_are_read_by_delta_rs_and_duckdb(five_lake):
    import duckdb
    from deltalake import DeltaTable

    names = tables(five_lake.lake, "silver", "gold", "ops")
    assert {n.split("/")[0] for n in names} == {"silver", "gold", "ops"}
    filled = 0
    for name in names:
        table = DeltaTable(str(five_lake.lake / name))
        features = set(table.protocol().reader_features or ()) | set(table.protocol().writer_features or ())
        assert not features & {"deletionVectors", "columnMapping", "rowTracking"}, name
        rows = table.to_pyarrow_table()
        ((found,),) = duckdb.from_arrow(rows).query("t", "SELECT count(*) FROM t").fetchall()
        assert found == rows.num_rows
        filled += found > 0
    assert filled > 30
    for name in names:
        if not name.startswith("ops/"):
            assert "_run" in read(five_lake.lake, name).column_names, name


def test_published_versions_are_the_tables_heads(five_lake):
    published = {r["table_name"]: r["version"] for r in five_lake.rows("ops/snapshot")}
    heads = versions(five_lake.lake, "bronze", "silver", "gold")
    assert {n: v for n, v in heads.items() if n in published} == published
    assert set(heads) == set(published)


def test_nothing_is_written_outside_the_lake_and_others_may_not_look_into_it(five_lake):
    assert list(five_lake.started_in.iterdir()) == []
    beside = {p.name for p in five_lake.lake.parent.iterdir()}
    assert beside == {"lake", "start", "note.json"}
    assert {p.name for p in five_lake.lake.iterdir()} <= {
        "bronze",
        "silver",
        "gold",
        "ops",
        "mlflow",
        "models",
        "report",
    }
    assert stat.S_IMODE(five_lake.lake.stat().st_mode) == 0o700


def test_the_note_has_the_keys_of_the_contract(five_lake):
    told = five_lake.note
    assert set(told) >= {
        "run_id", "status", "as_of", "lake", "steps", "sources", "models", "persons_affected", "peak_rss",
    }  # fmt: skip
    assert told["status"] == "succeeded"
    assert told["lake"] == str(five_lake.lake)
    assert told["as_of"] == "2024-09-01"  # of the file names, 1725148800000 ms
    assert told["persons_affected"] == 5
    assert told["peak_rss"] > 100 << 20
    step = {
        "stage",
        "table",
        "rows_in",
        "rows_written",
        "rows_quarantined",
        "rows_excluded",
        "seconds",
        "version",
    }
    assert all(set(s) >= step for s in told["steps"])
    assert {s["stage"] for s in told["steps"]} == {"bronze", "silver", "gold"}
    key = ("source", "kind", "stage")
    ledger = {tuple(r[k] for k in key): r for r in five_lake.rows("ops/ledger")}
    assert {tuple(r[k] for k in key): r for r in told["sources"]} == ledger
    assert five_lake.done.stderr == ""
    (run,) = five_lake.rows("ops/run")
    assert (run["run_id"], run["status"], run["job"]) == (told["run_id"], "succeeded", "pipeline")


# --- what goes wrong ---------------------------------------------------------------------------------------------


def refused(code: int, *argv: str) -> str:
    """The one sentence with which a command ends."""
    done = carelake(*argv)
    assert done.returncode == code, (done.returncode, done.stderr)
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(("carelake: ", "spark-submit.sh: "))  # the launcher itself knows the jobs
    assert "Traceback" not in done.stdout + done.stderr
    return sentence


def data_of(lake: Path) -> list[str]:
    """Tables of data in a lake."""
    return tables(lake, "bronze", "silver", "gold")


@pytest.mark.parametrize(
    "argv",
    [
        ("pipeline", "--nonsense"),
        ("conquer",),
        ("pipeline", "--source", "fhir"),
        ("pipeline", "--until", "nowhere"),
        ("pipeline", "--as-of", "someday"),
    ],
    ids=["option", "job", "source", "stage", "date"],
)
def test_a_wrong_command_line_is_usage(argv, tmp_path):
    lake = tmp_path / "lake"
    refused(2, argv[0], *(("--lake", str(lake)) if len(argv) > 1 else ()), *argv[1:])
    assert not lake.exists()


def test_a_path_that_is_missing_lands_nothing_of_the_others(tmp_path):
    lake, told = tmp_path / "lake", tmp_path / "note.json"
    said = refused(
        11, "pipeline", "--lake", str(lake), *five_people("fhir"), "--source", f"cms_rif={tmp_path / 'nowhere'}",
        "--json", str(told),
    )  # fmt: skip
    assert "cms_rif" in said
    assert not lake.exists()
    assert note(told)["status"] == "failed"


def test_an_empty_folder_lands_nothing(tmp_path):
    lake, empty, told = tmp_path / "lake", tmp_path / "empty", tmp_path / "note.json"
    empty.mkdir()
    said = refused(
        11,
        "pipeline",
        "--lake",
        str(lake),
        "--source",
        f"fhir={empty}",
        "--until",
        "gold",
        "--json",
        str(told),
    )
    assert "fhir" in said
    assert data_of(lake) == []
    assert not (lake / "ops" / "_lease.json").exists()
    assert not (lake / ".tmp").exists()
    if (lake / "ops" / "run").exists():
        assert [r["status"] for r in read(lake, "ops/run").to_pylist()] == ["failed"]
    assert note(told)["status"] == "failed"


def test_a_source_that_nobody_knows_is_configuration(tmp_path):
    said = refused(10, "pipeline", "--lake", str(tmp_path / "lake"), "--source", f"clinic={FIVE / 'fhir'}")
    assert "clinic" in said
    assert not (tmp_path / "lake").exists()


def test_a_format_that_nobody_knows_is_configuration(tmp_path):
    lake = tmp_path / "lake"
    said = refused(
        10, "pipeline", "--lake", str(lake), "--until", "gold", "--source", f"clinic:runes={FIVE / 'fhir'}"
    )
    assert "runes" in said
    assert data_of(lake) == []
    assert not (lake / "ops" / "_lease.json").exists()


def test_a_key_that_nobody_knows_is_configuration(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("write_thread: 2\n")
    said = refused(10, "pipeline", "--lake", str(tmp_path / "lake"), "--env", str(own), *five_people("fhir"))
    assert "write_thread" in said
    assert not (tmp_path / "lake").exists()


def test_a_lake_of_a_newer_version_is_left_alone(tmp_path):
    lake = tmp_path / "lake"
    (lake / "ops").mkdir(parents=True)
    mark = json.dumps({"format": 999, "release": "9.9.9", "sample": False})
    (lake / "ops" / "_lake.json").write_text(mark)
    refused(12, "pipeline", "--lake", str(lake), "--until", "gold", *five_people("fhir"))
    assert [p.name for p in lake.rglob("*") if p.is_file()] == ["_lake.json"]
    assert (lake / "ops" / "_lake.json").read_text() == mark


def test_a_lake_that_a_living_run_holds_is_busy(tmp_path):
    lake = tmp_path / "lake"
    (lake / "ops").mkdir(parents=True)
    began = Path(f"/proc/{os.getpid()}/stat").read_text().rsplit(")", 1)[1].split()[19]
    lease = json.dumps({
        "run_id": "20200101T000000.000000Z-1", "pid": os.getpid(), "host": socket.gethostname(), "process_started": began,
        "expires": time.time() + 600,
    })  # fmt: skip
    (lake / "ops" / "_lease.json").write_text(lease)
    said = refused(15, "pipeline", "--lake", str(lake), "--until", "gold", *five_people("fhir"))
    assert "20200101T000000.000000Z-1" in said
    assert (lake / "ops" / "_lease.json").read_text() == lease
    assert [p.name for p in lake.rglob("*") if p.is_file()] == ["_lease.json"]
