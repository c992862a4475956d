"""What a supervisor writes down of its system, for `pixvec status`, `pixvec down` and whoever else wants to know."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_FILE = "state.json"


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One supervised process. `pid` is 0 while it is down; `restarts` counts how often it was started again."""

    name: str
    pid: int
    restarts: int
    address: str = ""


@dataclass(frozen=True, slots=True)
class SystemState:
    """A system: its supervisor, where its gateway listens, and its processes. `ready` once all have come up."""

    supervisor_pid: int
    ready: bool
    address: str
    database_url: str
    redis_url: str
    processes: tuple[ProcessState, ...]


def write_state(data: Path, state: SystemState) -> None:
    """Replace the file: a reader sees the old state or the new one, never half of one."""
    fresh = data / f"{_FILE}.{os.getpid()}"
    fresh.write_text(json.dumps(asdict(state), indent=2) + "\n")
    fresh.replace(data / _FILE)


def read_state(data: Path) -> SystemState | None:
    """Return the state last written, None when there is none. Its supervisor may be gone."""
    try:
        document = json.loads((data / _FILE).read_text())
    except FileNotFoundError:
        return None
    processes = tuple(ProcessState(**process) for process in document.pop("processes"))
    return SystemState(**document, processes=processes)


def remove_state(data: Path) -> None:
    """Forget the system: it has stopped."""
    (data / _FILE).unlink(missing_ok=True)
