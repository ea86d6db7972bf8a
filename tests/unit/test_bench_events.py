"""What the benchmark reads from an event log."""

from __future__ import annotations

import json

import pytest

from bench.events import busy, by_step, read, shuffled


def _end(stage, begun, ended, run, read_bytes=0, written=0, reason="Success"):
    used = {
        "Executor Run Time": run, "Executor CPU Time": run * 500_000, "JVM GC Time": 100, "Disk Bytes Spilled": 0,
        "Shuffle Read Metrics": {"Remote Bytes Read": read_bytes, "Local Bytes Read": 0},
        "Shuffle Write Metrics": {"Shuffle Bytes Written": written}, "Output Metrics": {"Bytes Written": 7},
    }  # fmt: skip
    return {
        "Event": "SparkListenerTaskEnd", "Stage ID": stage, "Task End Reason": {"Reason": reason}, "Task Metrics": used,
        "Task Info": {"Launch Time": begun, "Finish Time": ended},
    }  # fmt: skip


@pytest.fixture
def log(tmp_path):
    """Ten seconds: a task that reads a table (1 to 3 s), two of a shuffle (2 to 4 and 6 to 7), one that reads it (8 to 9), one killed."""
    events = [
        {"Event": "SparkListenerApplicationStart", "Timestamp": 0},
        {"Event": "SparkListenerJobStart", "Stage IDs": [0], "Properties": {}},
        {
            "Event": "SparkListenerJobStart",
            "Stage IDs": [0, 1, 2],
            "Properties": {"spark.scheduler.pool": "silver/a"},
        },
        _end(0, 1000, 3000, 2000),
        _end(1, 2000, 4000, 2000, written=1_000_000),
        _end(1, 6000, 7000, 1000, written=1_000_000),
        _end(1, 6500, 9900, 3400, reason="TaskKilled"),
        _end(2, 8000, 9000, 1000, read_bytes=2_000_000),
        {"Event": "SparkListenerExecutorRemoved", "Timestamp": 9500},
        {"Event": "SparkListenerApplicationEnd", "Timestamp": 10_000},
    ]
    path = tmp_path / "log"
    path.write_text("".join(json.dumps(e) + "\n" for e in events) + '{"Event": "Spark')
    return read(path)


def test_time_without_a_task_is_told_apart(log):
    assert (log.begun, log.ended) == (0, 10)
    assert busy(log.tasks, 0, 10) == 5  # 1 to 4, 6 to 7, 8 to 9
    assert busy(log.tasks, 3.5, 6.5) == 1


def test_the_shuffles_begin_with_the_first_written_and_end_with_the_last_read(log):
    assert shuffled(log) == (2, 9)


def test_tasks_count_for_their_step_and_those_that_failed_apart(log):
    assert (log.killed, log.lost) == (1, 1)
    assert by_step(log)[2:] == [
        "| silver/a | 3 | 4.0 | 67% | 2.0 | 0.3 | 2.0 | 0.0 | 0.0 |",
        "| outside of steps | 1 | 2.0 | 33% | 1.0 | 0.1 | 0.0 | 0.0 | 0.0 |",
        "| all | 4 | 6.0 | 100% | 3.0 | 0.4 | 2.0 | 0.0 | 0.0 |",
    ]
