"""Killed at any moment, then the same command again: the same tables, and readers never see half a run."""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.helpers.cli import FIVE, ROOT, carelake, five_people
from tests.helpers.lakes import SOURCES
from tests.helpers.runs import digests, run

pytestmark = pytest.mark.timeout(2400)  # a run of five people takes minutes on two cores

# Between two table commits: one point in `make test`, since each takes minutes.
SMOKE = "silver/link/visit:after"
# In the order in which a run comes by: after a landing's commit and before its books, around table commits, and around
# publication.
OTHERS = (
    "bronze:landed", "silver/conformed/version:after", "silver/conformed/event:before", "silver/conformed/event:after",
    "silver/omop/concept:before", "silver/omop/concept:after", "silver:conformed", "silver/link/person:before",
    "silver/link/person:after", "silver/omop/person:before", "silver/omop/person:after", "silver/link/event:before",
    "silver/link/event:after", "silver/omop/cost:after", "silver/omop/measurement:before", "silver/omop/measurement:after",
    "silver/omop/condition_era:before", "gold/utilisation:before", "gold/utilisation:after", "gold/person_features:before",
    "gold/person_features:after", "publish:before", "publish:after",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(spark, five_lake):
    """The digests of a run that nobody disturbed."""
    return digests(spark, five_lake.lake)


def _published(lake):
    from deltalake import DeltaTable

    folder = lake / "ops" / "snapshot"
    if not folder.exists():
        return {}
    rows = DeltaTable(str(folder)).to_pyarrow_table().to_pylist()
    newest = max((r["run_id"] for r in rows), default=None)
    return {r["table_name"]: r["version"] for r in rows if r["run_id"] == newest}


def _kill(lake, point, whole):
    """The command, killed at a point; readers see the published tables alone, which are none before the end."""
    killed = carelake(*_command(lake), env={"FAULT": point})
    assert killed.returncode == -9, f"{point} is no point of this run"
    seen = _published(lake)
    assert seen == {} if point != "publish:after" else set(whole) <= set(seen), "half a run was published"


def _caught_up(spark, lake, whole):
    assert digests(spark, lake) == whole
    assert set(_published(lake)) >= set(whole)


def _command(lake):
    return ("pipeline", "--lake", str(lake), *five_people(), "--until", "gold")


def test_a_killed_run_is_caught_up_by_the_same_command(spark, whole, tmp_path):
    """By another process, as always after a death: here by the tests' own, which is warm."""
    lake = tmp_path / "lake"
    _kill(lake, SMOKE, whole)
    run(spark, lake, {n: FIVE / n for n in SOURCES}, "--until", "gold")
    _caught_up(spark, lake, whole)
    print(f"kill at {SMOKE}: {len(whole)} of {len(whole)} tables identical")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_run_killed_at_one_point_after_the_other_is_caught_up_by_the_same_command(spark, whole, tmp_path):
    """On one lake, so that what each dead run left is there for all that follow."""
    for point in OTHERS:
        _kill(tmp_path / "lake", point, whole)
        print(f"killed at {point}", flush=True)
    again = carelake(*_command(tmp_path / "lake"))
    assert again.returncode == 0, again.stderr
    _caught_up(spark, tmp_path / "lake", whole)
    print(f"killed {len(OTHERS)} times: {len(whole)} of {len(whole)} tables identical")


KILLS = int(os.environ.get("CARELAKE_KILLS", "3"))
SEED = int(os.environ.get("CARELAKE_KILL_SEED", time.time_ns() % 1_000_000))
STARTS = 5.0  # seconds in which no run has written anything


def _seconds(lake):
    """How long the undisturbed run took."""
    from deltalake import DeltaTable

    rows = DeltaTable(str(lake / "ops" / "run")).to_pyarrow_table().to_pylist()
    (row,) = (r for r in rows if r["status"] == "succeeded")
    return (row["ended_at"] - row["started_at"]).total_seconds()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(KILLS))
def test_a_run_killed_at_any_moment_is_caught_up_by_the_same_command(
    spark, five_lake, whole, tmp_path, number
):
    """With all its processes, as when the power fails, or without its JVM, which may finish a commit.

    CARELAKE_KILLS says how many, CARELAKE_KILL_SEED repeats the moments that were printed.
    """
    draw = random.Random(f"{SEED} {number}")  # noqa: S311
    after, alone = draw.uniform(STARTS, _seconds(five_lake.lake)), draw.random() < 0.5
    lake = tmp_path / "lake"
    child = subprocess.Popen(
        [str(ROOT / "spark-submit.sh"), *_command(lake)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        child.wait(after)
    except subprocess.TimeoutExpired:
        (os.kill if alone else os.killpg)(child.pid, signal.SIGKILL)
    ended = child.wait()
    assert ended in (0, -signal.SIGKILL)
    seen = _published(lake)  # all of it, when it was killed after its last commit
    assert (ended and not seen) or set(whole) <= set(seen), "half a run was published"
    run(spark, lake, {n: FIVE / n for n in SOURCES}, "--until", "gold")
    _caught_up(spark, lake, whole)
    how = "had ended" if ended == 0 else "killed without its JVM" if alone else "killed with its JVM"
    print(
        f"seed {SEED}, {number + 1} of {KILLS}: {how} after {after:.1f} s: {len(whole)} of {len(whole)} tables identical"
    )


def test_the_points_are_twenty_four():
    assert len({SMOKE, *OTHERS}) == 24
    assert os.environ.get("FAULT") is None
