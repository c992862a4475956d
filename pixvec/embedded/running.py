"""A whole system of one's own for as long as a `with` lasts: for the demo, for benchmarks, for tests."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pixvec.embedded.process import die_with_parent
from pixvec.embedded.state import ProcessState, SystemState, read_state
from pixvec.errors import Unavailable


class RunningSystem:
    """Starts `pixvec up` on fresh data in a temporary folder, and stops it and removes the data at the end.

    `weights` maps models to their files, `roots` are folders whose pictures may be taken in by reference. Raises
    Unavailable with the end of the log when the system does not come up within `start_timeout_s`.
    """

    def __init__(
        self,
        *,
        shards: int = 1,
        searchers: int = 1,
        weights: Mapping[str, Path] | None = None,
        roots: Sequence[Path] = (),
        download: bool = True,
        start_timeout_s: float = 90.0,
    ) -> None:
        # Not the private mode of a temporary folder: PostgreSQL may have to run as another user below it.
        self._folder = Path(tempfile.mkdtemp(prefix="pixvec-"))
        self._folder.chmod(0o711)
        self._data = self._folder / "data"
        self._start_timeout_s = start_timeout_s
        self._options = [
            f"--shards={shards}",
            f"--searchers={searchers}",
            "--listen=127.0.0.1:0",
            f"--data={self._data}",
        ]
        self._options += [f"--weights={model}={file}" for model, file in (weights or {}).items()]
        self._options += [f"--root={root}" for root in roots]
        self._options += [] if download else ["--no-download"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        """The system's data folder."""
        return self._data

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        if self._process is None:
            raise Unavailable("the system is not running")
        return self._process.pid

    @property
    def state(self) -> SystemState:
        """What the supervisor says of its processes now."""
        state = read_state(self._data)
        if state is None:
            raise Unavailable(f"{self._data} says nothing of a running system")
        return state

    @property
    def address(self) -> str:
        """Where the gateway listens."""
        return self.state.address

    def processes(self) -> Sequence[ProcessState]:
        """Return the supervised processes."""
        return self.state.processes

    def memory_bytes(self) -> dict[str, int]:
        """Return the memory of each process with its children, as `pixvec status` prints it."""
        command = [sys.executable, "-m", "pixvec.cli.main", "status", f"--data={self._data}", "--json"]
        status: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return {process["name"]: process["memory_bytes"] for process in status["processes"]}

    def stop(self) -> None:
        """Stop every process and remove the data."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        log = self._folder / "up.log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pixvec.cli.main", "up", *self._options],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        deadline = time.monotonic() + self._start_timeout_s
        while not ((state := read_state(self._data)) and state.phase == "ready"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"the system did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)
