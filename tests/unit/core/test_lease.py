"""One writer per lake."""

import json
import os
import subprocess
import sys
import time

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
