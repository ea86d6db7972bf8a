"""A run whose lease another took over, as after a machine that slept: it leaves with 15 and nothing of it is published."""

from __future__ import annotations

import json
import time

import pytest

from carelake import pipeline
from carelake.core.lake import DeltaLake
from carelake.core.lease import LEASE
from carelake.core.ops import RUN, SNAPSHOT
from carelake.core.storage import Storage
from carelake.errors import LakeBusyError
from tests.helpers.cli import FIVE
from tests.helpers.runs import run

OTHER = {"run_id": "another", "host": "another.machine", "pid": 1}


def test_a_run_whose_lease_was_taken_over_publishes_nothing(spark, tmp_path, monkeypatch):
    storage = Storage(str(tmp_path / "lake"))
    held = json.dumps(OTHER | {"expires": time.time() + 600})

    def taken_over(point):
        if point == "publish:before":
            storage.write_text(LEASE, held)

    monkeypatch.setattr(pipeline, "fault", taken_over)
    with pytest.raises(LakeBusyError, match="publishes nothing") as error:
        run(spark, tmp_path / "lake", {"enrollment": FIVE / "enrollment"}, job="to_bronze")
    assert error.value.exit_code == 15
    lake = DeltaLake(spark, storage.root)
    assert lake.read(SNAPSHOT).count() == 0
    assert [r["status"] for r in lake.read(RUN).collect()] == ["running"], "not its lake any more"
    assert storage.read_text(LEASE) == held, "not its lease any more"

    with pytest.raises(LakeBusyError, match="held by run another"):
        run(spark, tmp_path / "lake", {"enrollment": FIVE / "enrollment"}, job="to_bronze")
    storage.write_text(LEASE, json.dumps(OTHER | {"expires": time.time() - 1}))
    monkeypatch.undo()
    run(spark, tmp_path / "lake", {"enrollment": FIVE / "enrollment"}, job="to_bronze")
    statuses = [r["status"] for r in DeltaLake(spark, storage.root).read(RUN).sort("run_id").collect()]
    assert statuses == ["killed", "succeeded"]
    assert DeltaLake(spark, storage.root).read(SNAPSHOT).count() == 1
