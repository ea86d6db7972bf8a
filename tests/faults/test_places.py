"""Folders as real machines have them: names in any script, a locale that knows none, sources that may not be written, full disks."""

import gzip
import json
import os
import shutil
import subprocess

import pytest

from carelake.errors import ConfigError, LakeError
from tests.helpers.books import read, tables
from tests.helpers.cli import FIVE, ROOT, bound
from tests.helpers.runs import run

pytestmark = pytest.mark.timeout(900)


def _state(folder):
    """What is in a folder: names, sizes, times."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in (folder, *folder.rglob("*"))}


@pytest.fixture(scope="module")
def landed(tmp_path_factory):
    """A landing from a folder that may not be written, in a C locale, all names beyond ASCII: its lake, folder before and after, end."""
    top = tmp_path_factory.mktemp("places")
    source, lake = top / "Klinik Süd" / "エクスポート", top / "Ľake № 1"
    shutil.copytree(FIVE / "fhir", source)
    (source / "Patient.ndjson.gz").rename(source / "Patient.größer.ndjson.gz")
    folders = [source, *(p for p in source.rglob("*") if p.is_dir())]
    for p in source.rglob("*"):
        p.chmod(0o444)
    for folder in folders:
        folder.chmod(0o555)
    before = _state(source)
    done = subprocess.run(
        [*bound(), str(ROOT / "spark-submit.sh"), "pipeline", "--lake", str(lake), "--source", f"fhir={source}",
         "--until", "bronze"],
        env=os.environ | {"LC_ALL": "C", "LANG": "C"}, cwd=top, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    after = _state(source)
    for folder in folders:  # so that pytest may remove it
        folder.chmod(0o755)
    return lake, before, after, done


def test_names_beyond_ascii_land_in_a_c_locale(landed):
    lake, _, _, done = landed
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"lake: {lake}"
    patients = len(gzip.decompress((FIVE / "fhir" / "Patient.ndjson.gz").read_bytes()).splitlines())
    (row,) = [r for r in read(lake, "ops/file").to_pylist() if r["file"].startswith("Patient")]
    assert (row["file"], row["units"], row["status"]) == ("Patient.größer.ndjson.gz", patients, "landed")
    assert [p.name for p in lake.parent.iterdir() if p.name not in (lake.name, "Klinik Süd")] == []


def test_nothing_is_written_into_a_folder_of_a_source_that_may_not_be_written(landed):
    _, before, after, done = landed
    assert done.returncode == 0, done.stderr
    assert len(before) == 1 + len(list((FIVE / "fhir").iterdir()))
    assert after == before


@pytest.fixture
def disk(tmp_path):
    """A disk of 48 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_without_room_is_refused_before_anything_lands_and_with_room_the_run_goes_on(spark, disk):
    lake, given = disk / "lake", {"fhir": FIVE / "fhir", "fitbit": FIVE / "fitbit"}
    with pytest.raises(ConfigError, match=rf"the lake {lake} has 4\d MiB free, .*asks for 259: .*--lake"):
        run(spark, lake, given, job="to_bronze")
    assert tables(lake, "bronze") == []
    subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
    assert {s["table"]: s["rows_written"] > 0 for s in run(spark, lake, given, job="to_bronze")["steps"]} == {
        "bronze/fhir": True, "bronze/fitbit": True
    }  # fmt: skip
    subprocess.run(["mount", "-o", "remount,size=48m", str(disk)], check=True)  # nothing new asks for nothing
    again = run(spark, lake, given, job="to_bronze")
    assert [s["rows_written"] for s in again["steps"]] == [0, 0]


@pytest.mark.parametrize(("number", "says"), [(0, "older carelake"), (2, "newer carelake")])
def test_a_lake_of_another_format_is_left_alone(spark, tmp_path, number, says):
    mark = tmp_path / "lake" / "ops" / "_lake.json"
    mark.parent.mkdir(parents=True)
    mark.write_text(json.dumps({"format": number, "release": "0.0.1", "sample": False}))
    with pytest.raises(LakeError, match=f"{says} .format {number}"):
        run(spark, tmp_path / "lake", {"fhir": FIVE / "fhir"}, job="to_bronze")
    assert [p.name for p in (tmp_path / "lake").rglob("*") if p.is_file()] == ["_lake.json"]
