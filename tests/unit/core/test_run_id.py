"""Run ids sort by the order of the runs, whatever the clock says."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from carelake.core import run
from carelake.core.run import new_run_id


@pytest.fixture
def at(monkeypatch):
    def clock(*day):
        monkeypatch.setattr(run, "now", lambda: datetime(*day, tzinfo=timezone.utc))

    return clock


def test_a_run_after_the_clock_was_set_back_comes_after_the_runs_before_it(at):
    at(2025, 9, 1, 12)
    first = new_run_id()
    assert first.startswith("20250901T120000.000000Z-")
    at(2024, 9, 1)
    second = new_run_id(first)
    third = new_run_id(second)
    assert first < second < third
    assert second.startswith("20250901T120000.000001Z-")
    at(2025, 9, 2)
    assert new_run_id(third).startswith("20250902T000000.000000Z-")


@pytest.mark.parametrize("last", [None, "", "run-1"])
def test_without_a_run_before_it_the_clock_alone_counts(at, last):
    at(2024, 9, 1)
    assert new_run_id(last).startswith("20240901T000000.000000Z-")
