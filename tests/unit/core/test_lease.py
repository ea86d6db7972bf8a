"""One writer per lake."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from carelake.core import lease
from carelake.core.storage import Storage
from carelake.errors import LakeBusyError


def test_a_second_run_leaves_while_the_first_holds_the_lake(tmp_path):
    storage = Storage(str(tmp_path))
    with (
        lease.held(storage, "first"),
        pytest.raises(LakeBusyError, match="held by run first"),
        lease.held(storage, "second"),
    ):
        pass
    with lease.held(storage, "third"):
        assert json.loads(storage.read_text(lease.LEASE))["run_id"] == "third"
    assert not storage.exists(lease.LEASE)


def test_the_lease_of_a_process_that_died_is_taken_over(tmp_path):
    storage = Storage(str(tmp_path))
    code = f"""
import os, sys
from carelake.core import lease
from carelake.core.storage import Storage
with lease.held(Storage({str(tmp_path)!r}), "dead"):
    os.kill(os.getpid(), 9)
"""
    died = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    assert died.returncode == -9
    assert storage.exists(lease.LEASE)
    with lease.held(storage, "next"):
        assert json.loads(storage.read_text(lease.LEASE))["run_id"] == "next"


def test_a_lease_of_another_machine_is_taken_over_only_after_it_ran_out(tmp_path):
    storage = Storage(str(tmp_path))
    holder = {"run_id": "far", "host": "another.machine", "pid": 1, "expires": time.time() + 60}
    storage.write_text(lease.LEASE, json.dumps(holder))
    with pytest.raises(LakeBusyError), lease.held(storage, "next"):
        pass
    storage.write_text(lease.LEASE, json.dumps(holder | {"expires": time.time() - 1}))
    with lease.held(storage, "next"):
        pass


@pytest.mark.parametrize("garbage", [b"\xff\xfe", b"{", b"[1]", b'"x"', b'{"expires": "soon"}'])
def test_a_lease_that_cannot_be_read_is_no_bug_and_is_not_taken_over(tmp_path, garbage):
    storage = Storage(str(tmp_path))
    (tmp_path / "ops").mkdir()
    (tmp_path / lease.LEASE).write_bytes(garbage)
    with pytest.raises(LakeBusyError, match=r"_lease\.json cannot be read"), lease.held(storage, "next"):
        pass
    assert (tmp_path / lease.LEASE).read_bytes() == garbage


def test_of_eight_processes_that_want_the_lake_at_once_one_has_it(tmp_path):
    """In every odd round the lease lies there, of a run that died."""
    lakes = [tmp_path / str(i) for i in range(50)]
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool, get_context("spawn").Manager() as m:
        together = m.Barrier(8)
        list(pool.map(_wait, [together] * 8))  # all eight are up
        for lake in lakes:
            for _ in range(2):
                won = list(pool.map(_takes, [str(lake)] * 8, [together] * 8, range(8)))
                assert won.count(True) == 1
                winner = json.loads((lake / lease.LEASE).read_text())
                assert winner["run_id"] == str(won.index(True))
                (lake / lease.LEASE).write_text(json.dumps(winner | {"expires": 0}))


def _wait(together):
    together.wait(60)


def _takes(lake, together, n):
    together.wait(60)
    try:
        lease.Lease(Storage(lake), str(n)).take()
    except LakeBusyError:
        return False
    return True


def test_a_run_whose_lease_was_taken_over_is_stopped_and_leaves_the_other_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    storage, stopped = Storage(str(tmp_path)), threading.Event()
    with pytest.raises(LakeBusyError, match="publishes nothing"), lease.held(storage, "first", stopped.set):
        other = json.dumps({"run_id": "second", "host": "another.machine", "expires": time.time() + 60})
        storage.write_text(lease.LEASE, other)  # as after a pause that outlasted the lease
        assert stopped.wait(10)
        raise RuntimeError("a job was cancelled")
    assert storage.read_text(lease.LEASE) == other


def test_a_lease_that_is_gone_is_lost(tmp_path):
    storage = Storage(str(tmp_path))
    with pytest.raises(LakeBusyError), lease.held(storage, "first") as mine:
        mine.renew()
        storage.delete(lease.LEASE)
        mine.renew()


def test_a_beating_lease_does_not_run_out(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "EXPIRY_SECONDS", 1.0)
    storage = Storage(str(tmp_path))
    with lease.held(storage, "first"):
        time.sleep(1.5)
        assert json.loads(storage.read_text(lease.LEASE))["expires"] > time.time()
        with pytest.raises(LakeBusyError), lease.held(storage, "second"):
            pass


def test_a_lease_that_cannot_be_read_is_nobodys_to_take(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write_text(lease.LEASE, '{"run_id": "fir')
    with pytest.raises(LakeBusyError, match="delete it"), lease.held(storage, "second"):
        pass
