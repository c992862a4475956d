"""What a supervisor says of itself is believed while it runs, and by nobody afterwards."""

import json

import pytest

from pixvec.embedded.state import DataLock, ProcessState, SystemState, is_locked, read_state, write_state
from pixvec.errors import FailedPrecondition


def running(**changes):
    process = ProcessState("gateway", 7, "ready", 2, "127.0.0.1:50051", "127.0.0.1:9464")
    plain = {
        "supervisor_pid": 6,
        "phase": "ready",
        "address": "127.0.0.1:50051",
        "redis_url": "redis+socket:///run/redis.sock",
        "database_url": "postgresql+psycopg://pixvec@/pixvec",
        "data_dir": "/data",
        "started_at": 1.5,
        "processes": (process,),
    }
    return SystemState(**(plain | changes))


def test_what_was_written_is_read_while_the_lock_is_held(tmp_path):
    with DataLock(tmp_path):
        write_state(tmp_path / "state.json", running(phase="starting"))
        write_state(tmp_path / "state.json", running())
        assert read_state(tmp_path) == running()
        assert [path.name for path in sorted(tmp_path.iterdir())] == ["lock", "state.json"]
    assert read_state(tmp_path) is None


def test_a_supervisor_that_has_said_nothing_yet_runs_all_the_same(tmp_path):
    assert not is_locked(tmp_path)
    with DataLock(tmp_path):
        assert is_locked(tmp_path)
        assert read_state(tmp_path) is None
    assert not is_locked(tmp_path)


def test_a_folder_without_a_system_says_so(tmp_path):
    assert read_state(tmp_path / "nothing here") is None


def test_a_second_supervisor_is_told_what_to_do(tmp_path):
    with DataLock(tmp_path):
        with pytest.raises(FailedPrecondition, match=r"runs on .* already.*pixvec down.*--data"), DataLock(tmp_path):
            pass
        assert is_locked(tmp_path)
    with DataLock(tmp_path):
        pass


def test_a_process_without_metrics_is_read_too(tmp_path):
    with DataLock(tmp_path):
        write_state(tmp_path / "state.json", running())
        plain = json.loads((tmp_path / "state.json").read_text())
        del plain["processes"][0]["metrics"]
        (tmp_path / "state.json").write_text(json.dumps(plain))
        assert read_state(tmp_path).processes[0].metrics == ""
