"""What a running supervisor tells other programs about itself: a lock that only it holds, and a file."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pixvec.errors import FailedPrecondition

NOT_ANSWERING = "not answering"


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One supervised process. `state` is starting, ready, not answering, waiting (to be started again) or stopped;
    `metrics` is where Prometheus finds it, as host:port, empty where it does not."""

    name: str
    pid: int
    state: str
    restarts: int
    address: str = ""
    metrics: str = ""


@dataclass(frozen=True, slots=True)
class SystemState:
    """A system on this machine. `phase` is starting, ready or stopping."""

    supervisor_pid: int
    phase: str
    address: str
    redis_url: str
    database_url: str
    data_dir: str
    started_at: float
    processes: tuple[ProcessState, ...] = ()


def write_state(path: Path, state: SystemState) -> None:
    """Replace the state file in one step."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(asdict(state), indent=1))
    fresh.rename(path)


def read_state(data_dir: Path) -> SystemState | None:
    """Return how the system on this data folder stands, None when none is running."""
    if not is_locked(data_dir):
        return None
    try:
        raw = json.loads((data_dir / "state.json").read_text())
    except FileNotFoundError:
        return None
    return SystemState(**{**raw, "processes": tuple(ProcessState(**process) for process in raw["processes"])})


def is_locked(data_dir: Path) -> bool:
    """Whether a supervisor runs on this data folder."""
    try:
        with (data_dir / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class DataLock:
    """Held by the one supervisor of a data folder; the kernel lets go of it however the supervisor ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"

    def __enter__(self) -> Self:
        self._file = self._path.open("ab+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise FailedPrecondition(
                f"a pixvec runs on {self._path.parent} already: see `pixvec status`, stop it with `pixvec down`,"
                " or choose another --data"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
