"""What every system is to us: it takes vectors in, and finds the nearest to some."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.load import Load, drive_threads
from benchmarks.vectors import Float32Array, VectorSet, in_parts
from pixvec.domain import Metric
from pixvec.embedded.process import die_with_parent

_START_LIMIT_S = 60.0


class Unusable(Exception):
    """This peer cannot be measured here; the message says why."""


class Peer(ABC):
    """One system in a run of its own, to be used in a `with`. `what` it is, is for people; `served`: it answers calls
    of other processes. An `effort` is how far a search looks (ef), from `efforts`; `graph` says how it was built."""

    name: str
    what: str
    served = True
    graph = ""
    efforts: tuple[int, int] = (10, 600)

    def __init__(self, dim: int, metric: Metric) -> None:
        self.dim = dim
        self.metric = metric
        self.folder = Path(tempfile.mkdtemp(prefix="pixvec-peer-"))
        # PostgreSQL may have to run as another user below it.
        self.folder.chmod(0o711)
        self._servers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_servers()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:  # noqa: B027 - a library has nothing to start
        """Start what is to take the vectors, empty. Raises Unusable."""

    @abstractmethod
    def build(self, base: Float32Array) -> None:
        """Take in rows, (n, dim), whose ids are their numbers, and return when all are indexed."""

    @abstractmethod
    def search(self, queries: Float32Array, k: int, effort: int) -> Any:
        """Ask for the k rows nearest to each query, in one call. Any number of threads may call."""

    @abstractmethod
    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """Return the rows that an answer of `search` names, for each query."""

    @abstractmethod
    def index_bytes(self) -> int:
        """Return the bytes of what was built, the vectors with it, as it is written down."""

    def prepare(self, effort: int) -> None:  # noqa: B027 - most are told with each search
        """Set what cannot be set for each search."""

    def drive(self, queries: Float32Array, k: int, effort: int, rows_a_call: int, callers: int, seconds: float) -> Load:
        """Search for some seconds with so many callers, each with a thread of its own."""
        parts = in_parts(queries, rows_a_call)
        return drive_threads(lambda number: self.search(parts[number % len(parts)], k, effort), callers, seconds)

    def processes(self) -> list[int]:
        """Return the processes that hold the vectors."""
        return [server.pid for server in self._servers] or [os.getpid()]

    def run_server(self, command: Sequence[str], identity: tuple[int, int] | None = None, **variables: str) -> None:
        """Start a server that is stopped with this peer."""
        with (self.folder / "server.log").open("ab") as log:
            started = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd="/",
                env=os.environ | variables,
                preexec_fn=die_with_parent(signal.SIGKILL, identity),
            )
        self._servers.append(started)

    def stop_servers(self) -> None:
        """Stop the servers started so far."""
        while self._servers:
            server = self._servers.pop()
            server.send_signal(signal.SIGINT)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait until a server answers. Raises Unusable when it ends, or does not answer in time."""
        give_up_at = time.monotonic() + _START_LIMIT_S
        while not is_there():
            if self._servers[-1].poll() is not None or time.monotonic() > give_up_at:
                raise Unusable(f"does not start: {self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self) -> str:
        """Return the last words of its servers."""
        return (self.folder / "server.log").read_text(errors="replace")[-300:].strip()


def memory_bytes(processes: Sequence[int]) -> int:
    """Return the resident memory of some processes and their children, mapped files and shared memory counted once."""
    family = {each for process in processes for each in _family(process)}
    return sum(_private_bytes(each) for each in family) + max(_shared_bytes(each) for each in family)


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def least_effort(peer: Peer, vectors: VectorSet, k: int, goal: float, most: int) -> tuple[int, float]:
    """Return the least effort whose recall reaches the goal, and that recall; where none does, `most` or the peer's
    greatest."""
    low, high = peer.efforts[0], min(most, peer.efforts[1])
    found = _recall(peer, vectors, k, high)
    while low < high and found >= goal:
        middle = (low + high) // 2
        recall = _recall(peer, vectors, k, middle)
        if recall >= goal:
            high, found = middle, recall
        else:
            low = middle + 1
    peer.prepare(high)
    return high, found


def _recall(peer: Peer, vectors: VectorSet, k: int, effort: int) -> float:
    peer.prepare(effort)
    return vectors.recall(
        [row for part in in_parts(vectors.queries, 64) for row in peer.rows(peer.search(part, k, effort))]
    )


def _family(process: int) -> list[int]:
    return [process, *(child.pid for child in psutil.Process(process).children(recursive=True))]


def _private_bytes(process: int) -> int:
    return _status_bytes(process, "RssAnon")


def _shared_bytes(process: int) -> int:
    return _status_bytes(process, "RssFile") + _status_bytes(process, "RssShmem")


def _status_bytes(process: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except FileNotFoundError:
        # A child that has ended meanwhile.
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(name))
