"""`pixvec up` as a user runs it: whichever way it ends, it leaves no process behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pixvec.client import Client
from pixvec.embedded.config import StackConfig
from pixvec.embedded.ports import check_free
from pixvec.embedded.process import die_with_parent
from pixvec.embedded.running import RunningSystem
from pixvec.embedded.state import SystemState, read_state
from pixvec.errors import FailedPrecondition, Unavailable
from tests.pictures import make_jpeg

LIMIT_S = 120.0
MARK = "PIXVEC_TEST_MARK"


class Up:
    """One `pixvec up`. Its descendants are found by parentage and by a mark in their environment, which outlives it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data = folder / "data"
        self._mark = uuid.uuid4().hex
        self._seen: set[psutil.Process] = set()
        self._log = folder / "up.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pixvec.cli.main", "up", f"--data={self.data}", "--listen=127.0.0.1:0",
                 "--no-download", *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),
                env=os.environ | {MARK: self._mark},
            )  # fmt: skip

    @property
    def state(self) -> SystemState | None:
        return read_state(self.data)

    @property
    def pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in self.state.processes} if self.state else {}

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the system does, noting every process that it starts meanwhile."""
        give_up_at = time.monotonic() + LIMIT_S
        while not condition():
            self.look()
            assert self.process.poll() is None, self.output
            assert time.monotonic() < give_up_at, self.output
            time.sleep(0.02)
        self.look()

    def until_ready(self) -> None:
        self.until(lambda: self.state and self.state.phase == "ready")

    def look(self) -> set[psutil.Process]:
        """Note the processes that there are now."""
        if self.process.poll() is None:
            self._seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        self._seen |= {process for process in psutil.process_iter() if self._is_marked(process)}
        return self._seen

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the supervisor and return how it ended."""
        self.look()
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def survivors(self) -> str:
        """Return the command lines of what still runs once there was time enough to end."""
        give_up_at = time.monotonic() + 30.0
        while (left := [process for process in self.look() if _runs(process)]) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        return commands(left)

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return process.pid != self.process.pid and process.environ().get(MARK) == self._mark
        except psutil.Error:
            return False


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not pytest's own folder: only root may enter that one, and PostgreSQL will not run as root.
    made = Path(tempfile.mkdtemp(prefix="pv-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(StackConfig(made / "data").run_dir, ignore_errors=True)
    shutil.rmtree(made)


@pytest.fixture
def up(folder: Path) -> Iterator[Up]:
    started = Up(folder)
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGINT)
    for process in started.look():
        if _runs(process):
            process.kill()


def take_pictures_in(up: Up) -> None:
    """Have the worker load a model and decode, so that everything is running that ever runs."""
    assert up.state is not None
    with Client(up.state.address) as client:
        name = f"c-{uuid.uuid4().hex}"
        client.create_collection(name, model="hog-color")
        job = client.ingest(name, [(f"{seed}", make_jpeg(seed)) for seed in range(8)]).wait()
        assert job.counts.indexed == 8


def commands(processes: Iterable[psutil.Process]) -> str:
    """Return the command lines of those that run, one a line."""
    lines = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            lines.append(" ".join(process.cmdline()))
    return "\n".join(lines)


def test_ctrl_c_stops_everything(up: Up) -> None:
    up.until_ready()
    take_pictures_in(up)
    running = commands(up.look())
    for part in ("postgres", "redis-server", "services.searcher", "workers.decoder", "workers.sweeper"):
        assert part in running
    assert up.end(signal.SIGINT) == 0, up.output
    assert up.survivors() == ""
    assert up.output.endswith("Stopped.\n")
    assert up.state is None
    assert not StackConfig(up.data).run_dir.exists()


def test_killed_it_takes_everything_with_it(up: Up) -> None:
    up.until_ready()
    take_pictures_in(up)
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    assert up.survivors() == ""


@pytest.mark.parametrize("part", ["postgres -D", "billiard.spawn", "workers.decoder"])
def test_killed_while_it_starts_it_takes_everything_with_it(up: Up, part: str) -> None:
    up.until(lambda: part in commands(up.look()))
    assert up.state is None or up.state.phase == "starting"
    up.end(signal.SIGKILL)
    assert up.survivors() == ""


def pixvec(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run another command, in another terminal."""
    command = [sys.executable, "-m", "pixvec.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def free_ports(number: int) -> int:
    """Return the first of so many free ports in a row."""
    for first in range(20_000, 30_000, number):
        with suppress(FailedPrecondition):
            for port in range(first, first + number):
                check_free(f"127.0.0.1:{port}", "")
            return first
    raise AssertionError("no free ports")


def test_it_says_where_everything_is_and_goes_down_when_asked(folder: Path) -> None:
    first = free_ports(4)
    up = Up(folder, f"--metrics-port={first}")
    try:
        up.until_ready()
        names = ["gateway", "worker", "sweeper", "searcher-0"]
        lines = [f"metrics  http://127.0.0.1:{first + place}/metrics ({name})" for place, name in enumerate(names)]
        up.until(lambda: "Ctrl-C stops it." in up.output)
        take_pictures_in(up)
        assert up.output.splitlines()[2:-2] == lines
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for place in range(4):
            with direct.open(f"http://127.0.0.1:{first + place}/metrics", timeout=LIMIT_S) as page:
                assert b"# TYPE pixvec_" in page.read()
        told = json.loads(pixvec("status", f"--data={up.data}", "--json").stdout)
        metrics = {process["name"]: process["metrics"] for process in told["processes"]}
        assert metrics == {"postgres": "", "redis": ""} | {
            name: f"127.0.0.1:{first + place}" for place, name in enumerate(names)
        }
        second = pixvec("up", f"--data={up.data}", "--listen=127.0.0.1:0")
        assert second.returncode == 1
        assert f"a pixvec runs on {up.data} already" in second.stderr
        assert pixvec("doctor", f"--data={up.data}").returncode == 0
        assert pixvec("down", f"--data={up.data}").stdout == "Stopped.\n"
        assert up.process.wait(LIMIT_S) == 0
        assert up.survivors() == ""
    finally:
        if up.process.poll() is None:
            up.end(signal.SIGINT)


@pytest.mark.parametrize("option", ["--listen", "--metrics-port"])
def test_a_port_that_is_taken_is_told_before_anything_starts(folder: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        value = f"127.0.0.1:{port}" if option == "--listen" else f"{port}"
        refused = pixvec("up", f"--data={folder}/data", "--listen=127.0.0.1:0", f"{option}={value}")
    assert refused.returncode == 1
    error = f"error: cannot listen on 127.0.0.1:{port} (Address already in use): choose another {option}"
    assert refused.stderr.startswith(error)
    assert refused.stderr.count("\n") == 1
    assert read_state(folder / "data") is None


def test_a_system_that_does_not_start_is_told_with_its_last_words_and_leaves_nothing() -> None:
    system = RunningSystem(weights={"resnet50": Path("/no/such/file")})
    with pytest.raises(Unavailable, match="the weights of resnet50 are not at /no/such/file"), system:
        pass
    assert not system.data.parent.exists()


def test_killed_while_it_makes_the_database_it_starts_over() -> None:
    with tempfile.TemporaryDirectory(prefix="pv-") as fresh:
        Path(fresh).chmod(0o711)
        first = Up(Path(fresh))
        first.until(lambda: "initdb" in commands(first.look()))
        first.end(signal.SIGKILL)
        assert first.survivors() == ""
        second = Up(Path(fresh))
        second.until(lambda: second.state and [each.state for each in second.state.processes][:1] == ["ready"])
        assert second.end(signal.SIGTERM) == 0, second.output
        assert second.survivors() == ""
        shutil.rmtree(StackConfig(second.data).run_dir, ignore_errors=True)
