"""Killed at any moment, then the same command again: the same tables, and readers never see half a run."""

import os
import shutil

import pytest

from tests.helpers.cli import carelake, digest, five_people

pytestmark = pytest.mark.timeout(
    2400
)  # a run of five people takes about two minutes on two cores, several to a test

# Between two table commits: one point in `make test`, since each takes minutes. Those after it are a landing's commit
# before its books, and before and after publication.
SMOKE = ("silver/link/visit:after",)
ALL = (
    *SMOKE, "bronze:landed", "gold/person_features:before", "publish:before", "silver/conformed/event:before", "silver/conformed/event:after", "silver:conformed", "silver/link/person:before",
    "silver/link/person:after", "silver/link/event:before", "silver/link/event:after", "silver/omop/person:before",
    "silver/omop/person:after", "silver/omop/measurement:before", "silver/omop/measurement:after",
    "silver/omop/condition_era:before", "silver/omop/cost:after", "silver/omop/concept:before", "silver/omop/concept:after",
    "gold/person_features:after", "gold/utilisation:before", "gold/utilisation:after", "publish:after",
    "silver/conformed/version:after",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(five_lake):
    """The digests of a run that nobody disturbed."""
    return digest(five_lake.lake)


def _published(lake):
    from deltalake import DeltaTable

    folder = lake / "ops" / "snapshot"
    if not folder.exists():
        return {}
    rows = DeltaTable(str(folder)).to_pyarrow_table().to_pylist()
    newest = max((r["run_id"] for r in rows), default=None)
    return {r["table_name"]: r["version"] for r in rows if r["run_id"] == newest}


@pytest.mark.parametrize("point", SMOKE)
def test_a_killed_run_is_caught_up_by_the_same_command(point, whole, tmp_path):
    _kill_and_repeat(point, whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("point", [p for p in ALL if p not in SMOKE])
def test_a_run_killed_anywhere_is_caught_up_by_the_same_command(point, whole, tmp_path):
    _kill_and_repeat(point, whole, tmp_path)


def _kill_and_repeat(point, whole, tmp_path):
    lake = tmp_path / "lake"
    command = ("pipeline", "--lake", str(lake), *five_people(), "--until", "gold")
    killed = carelake(*command, env={"FAULT": point})
    assert killed.returncode == -9, f"{point} is no point of this run"
    seen = _published(lake)
    assert seen == {} if point != "publish:after" else set(whole) <= set(seen), "half a run was published"
    again = carelake(*command)
    assert again.returncode == 0, again.stderr
    assert digest(lake) == whole
    assert set(_published(lake)) >= set(whole)
    print(f"kill at {point}: {len(whole)} of {len(whole)} tables identical")
    shutil.rmtree(lake, ignore_errors=True)


def test_the_points_are_twenty_four():
    assert len(set(ALL)) == 24
    assert os.environ.get("FAULT") is None
