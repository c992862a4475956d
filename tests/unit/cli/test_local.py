"""Commands about the system on this machine, which here is this process and what it says of itself."""

import os
import signal

import pytest

from pixvec.cli import local
from pixvec.embedded.state import DataLock, ProcessState, SystemState, write_state


@pytest.fixture
def lock(tmp_path):
    """What a supervisor holds while it runs."""
    with DataLock(tmp_path) as held:
        yield held


@pytest.fixture
def data(tmp_path, lock):
    """The data folder of a system that runs: two processes, one of which has just died."""
    processes = (
        ProcessState("searcher-0", 0, "waiting", 3),
        ProcessState("gateway", os.getpid(), "ready", 0, "127.0.0.1:50051", "127.0.0.1:9464"),
    )
    state = SystemState(os.getpid(), "ready", "127.0.0.1:50051", "redis", "database", str(tmp_path), 1.0, processes)
    write_state(tmp_path / "state.json", state)
    return tmp_path


def test_status_shows_processes_addresses_and_memory(run, data):
    ended = run("status", "--data", data)
    assert ended.status == 0
    assert "ready at 127.0.0.1:50051" in ended.out
    (gateway,) = [line for line in ended.out.splitlines() if f"{os.getpid()}" in line]
    cells = [cell.strip() for cell in gateway.strip("│").split("│")]
    assert cells[:4] == ["gateway", f"{os.getpid()}", "ready", "0"]
    assert int(cells[4].replace(",", "")) > 1
    assert cells[5] == "127.0.0.1:50051"
    assert ended.out.endswith("metrics  http://127.0.0.1:9464/metrics (gateway)\n")


def test_status_as_json_tells_the_same(run, data):
    told = run("status", "--data", data, "--json").json
    assert (told["address"], told["phase"]) == ("127.0.0.1:50051", "ready")
    waiting, gateway = told["processes"]
    assert (waiting["name"], waiting["state"], waiting["restarts"], waiting["memory_bytes"]) == (
        "searcher-0",
        "waiting",
        3,
        0,
    )
    assert (gateway["pid"], gateway["metrics"]) == (os.getpid(), "127.0.0.1:9464")
    assert told["memory_bytes"] == gateway["memory_bytes"] > 10**6


def test_status_of_nothing_says_how_to_start_it(run, tmp_path):
    status, out, err = run("status", "--data", tmp_path)
    assert (status, out) == (1, "")
    assert err == f"error: nothing runs on {tmp_path}: start it with `pixvec up`\n"


def test_down_asks_the_supervisor_and_waits_for_it(run, data, lock, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "kill", lambda pid, number: asked.append((pid, number)))
    monkeypatch.setattr(local.time, "sleep", lambda _: lock.__exit__(None, None, None))
    assert run("down", "--data", data) == (0, "Stopped.\n", "")
    assert asked == [(os.getpid(), signal.SIGTERM)]


def test_down_says_what_to_do_about_one_that_does_not_stop(run, data, monkeypatch):
    monkeypatch.setattr(os, "kill", lambda *_: None)
    monkeypatch.setattr(local, "_STOP_LIMIT_S", 0.0)
    assert run("down", "--data", data) == (
        1,
        "",
        f"error: process {os.getpid()} does not stop: kill -9 {os.getpid()}\n",
    )


def test_down_of_one_that_ended_meanwhile_is_done(run, data, lock, monkeypatch):
    def gone(*_):
        lock.__exit__(None, None, None)
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)
    assert run("down", "--data", data).status == 0


def test_down_of_nothing_is_no_error(run, tmp_path):
    assert run("down", "--data", tmp_path) == (0, f"Nothing runs on {tmp_path}.\n", "")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--searchers", 0], "choose 1 to 64"),
        (["--replicas", 2], "--searchers 2"),
        (["--metrics-port", 70000], "choose 1 to"),
        (["--weights", "resnet50=/no/such/file"], "/no/such/file"),
        (["--weights", "nonsense"], "nonsense"),
        (["--root", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_up_refuses_what_cannot_work_before_it_starts_anything(run, tmp_path, options, hint):
    status, out, err = run("up", "--data", tmp_path / "data", *options)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert hint in err
    assert err.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_up_refuses_a_folder_that_a_system_runs_on(run, data):
    status, _, err = run("up", "--data", data)
    assert status == 1
    assert f"a pixvec runs on {data} already" in err


def test_memory_of_what_is_gone_is_none():
    assert local.memory_of(0) == 0
    assert local.memory_of(2**22 + 1) == 0
