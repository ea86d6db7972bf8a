"""A damaged table: never another result than before, a sentence that names the table, and `quality --storage` finds it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from carelake.core.failure import explained
from carelake.core.lake import DeltaLake
from carelake.core.soundness import storage_faults
from carelake.core.table import Field, Table
from carelake.core.upkeep import checkpoint
from carelake.errors import LakeError
from tests.helpers.damage import CASES, flipped

WORDS = Table(
    name="silver/omop/some",
    doc="One row per number.",
    fields=(Field("n", "bigint", "The number", required=True), Field("word", "string", "A word")),
    key=("n",),
)


def _frame(spark, start):
    rows = spark.range(start, start + 200).selectExpr(
        "id AS n", "concat('w', id % 40) AS word", "'run' AS _run"
    )
    return rows.coalesce(1)


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    """Four versions of one file each, with a checkpoint after the second."""
    made = DeltaLake(spark, str(tmp_path_factory.mktemp("made") / "a lake"))
    for version in range(4):
        made.append(WORDS, _frame(spark, 200 * version), {"run": "r"})
        if version == 1:
            checkpoint(made, WORDS)
    return made


@pytest.fixture
def lake(made, tmp_path):
    """A copy, of whose state Delta remembers nothing."""
    shutil.copytree(made.root, tmp_path / "a lake")
    return DeltaLake(made.spark, str(tmp_path / "a lake"))


def _rows(lake):
    """As a run reads a table that is appended to."""
    lake.whole_head(WORDS)
    return _sum(lake)


def _sum(lake):
    return tuple(lake.read(WORDS).selectExpr("count(*)", "bit_xor(xxhash64(n, word, _run))").first())


def _told(lake, work):
    """What it gives, or the sentence that the user sees."""
    try:
        return work(DeltaLake(lake.spark, lake.root)), None
    except Exception as e:
        said = e if isinstance(e, LakeError) else explained(e, lake.root)
        assert isinstance(said, LakeError), f"not explained: {type(e).__name__}"
        return None, str(said)


@pytest.fixture(scope="module")
def sums(made):
    """Of the head and of the first version; a sound table has no fault."""
    assert storage_faults(made, [WORDS]) == []
    return _sum(made), _sum(made.at({WORDS.name: 0}))


@pytest.mark.parametrize("case", CASES)
def test_damage_is_named_or_changes_nothing_and_is_found(lake, sums, case):
    whole, first = sums
    CASES[case](Path(lake.path(WORDS)))
    found, said = _told(lake, _rows)
    if said is None:
        assert found == whole, "a wrong result"
    else:
        assert said.startswith(f"{WORDS.name}: ") and "pipeline --full" in said
        assert "\n" not in said and "w7" not in said
    faults = storage_faults(DeltaLake(lake.spark, lake.root), [WORDS])
    assert faults and all(f.startswith(f"{WORDS.name}: ") for f in faults)
    # The oldest version does not need what was damaged.
    assert _sum(DeltaLake(lake.spark, lake.root).at({WORDS.name: 0})) == first
    print(f"{case}: {'the same rows' if said is None else said} / {faults[0]}")


def test_no_flipped_byte_gives_other_values_when_pages_are_verified(lake):
    """As on a store without checksums of its own: Hadoop's are removed."""
    (name,) = lake.named_files(WORDS, 0)
    file = Path(lake.path(WORDS)) / name
    file.with_name(f".{name}.crc").unlink()
    sound, whole = file.read_bytes(), _sum(lake.at({WORDS.name: 0}))
    outcomes = {"same": 0, "error": 0}
    for at in range(4, len(sound) - 4, len(sound) // 25):
        file.write_bytes(flipped(sound, at))
        try:
            assert _sum(DeltaLake(lake.spark, lake.root, {WORDS.name: 0}, pinned_only=True)) == whole, at
            outcomes["same"] += 1  # statistics and names that nobody reads
        except AssertionError:
            raise
        except Exception:
            outcomes["error"] += 1
    assert outcomes["error"] > outcomes["same"]
    print(f"flipped bytes: {outcomes}, 0 wrong results")


def test_a_damaged_checkpoint_or_old_commit_does_not_outlive_the_table_made_anew(lake):
    log = Path(lake.path(WORDS)) / "_delta_log"
    (log / f"{2:020d}.json").write_text("garbage")
    lake.remove(WORDS)
    lake.replace(WORDS, _frame(lake.spark, 0), {"run": "r"})
    assert lake.head(WORDS) == 0
    assert storage_faults(lake, [WORDS]) == []
    assert json.loads((log / f"{0:020d}.json").read_text().splitlines()[0])
