"""`pixvec up` as a user runs it: whichever way it ends, it leaves no process behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pixvec.client import Client
from pixvec.embedded.config import StackConfig
from pixvec.embedded.process import die_with_parent
from pixvec.embedded.state import SystemState, read_state
from tests.pictures import make_jpeg

LIMIT_S = 120.0
MARK = "PIXVEC_TEST_MARK"


class Up:
    """One `pixvec up`. Its descendants are found by parentage and by a mark in their environment, which outlives it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._mark = uuid.uuid4().hex
        self._seen: set[psutil.Process] = set()
        self._log = folder / "up.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pixvec.cli.main", "up", f"--data={self.data}", "--listen=127.0.0.1:0",
                 "--no-download"],
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_stops_everything(up: Up, number: signal.Signals) -> None:
    up.until_ready()
    take_pictures_in(up)
    running = commands(up.look())
    for part in ("postgres", "redis-server", "services.searcher", "workers.decoder", "workers.sweeper"):
        assert part in running
    assert up.end(number) == 0, up.output
    assert up.survivors() == ""
    assert up.output.endswith("Stopped.\n")
    assert up.state is None


def test_killed_it_takes_everything_with_it(up: Up) -> None:
    up.until_ready()
    take_pictures_in(up)
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    assert up.survivors() == ""


@pytest.mark.parametrize("part", ["postgres -D", "-m workers", "billiard.spawn", "workers.decoder"])
def test_killed_while_it_starts_it_takes_everything_with_it(up: Up, part: str) -> None:
    up.until(lambda: part in commands(up.look()))
    assert up.state is None or up.state.phase == "starting"
    up.end(signal.SIGKILL)
    assert up.survivors() == ""


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
