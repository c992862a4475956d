"""One program under supervision: started, watched, started again, stopped."""

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixvec.embedded.process import die_with_parent
from pixvec.embedded.state import NOT_ANSWERING, ProcessState
from pixvec.errors import PixvecError, Unavailable

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# A program that ran that long was well: its next restart is quick again.
_WELL_AFTER_S = 10.0
_READY_POLL_S = 0.05
_LOOK_EVERY_S = 2.0
# A program that cannot start the first time has something wrong that trying again will not cure.
_FIRST_TRIES = 3


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to tell that it runs. `is_ready` None: it is ready once it is started, and not looked at
    after. One that was ready and has not been for `silent_for_s` is ended, to be started again."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    metrics: str = ""
    identity: tuple[int, int] | None = None
    # Blocking work ahead of each start.
    prepare: Callable[[], None] | None = None
    is_ready: Callable[[], Awaitable[bool]] | None = None
    ready_within_s: float = 120.0
    # Longer than a database takes to recover from a crash, or a machine to be busy with something else.
    silent_for_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 15.0
    # What the kernel sends when the supervisor is killed.
    death_signal: signal.Signals = signal.SIGKILL


class SupervisedProgram:
    """Keeps one program running from `start` until `stop`."""

    def __init__(self, program: Program, log_dir: Path, on_change: Callable[[], None]) -> None:
        self.program = program
        self._log_path = log_dir / f"{program.name}.log"
        self._on_change = on_change
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._first_ready: asyncio.Future[None] | None = None
        self._state = "starting"
        self._restarts = 0
        self._stopping = False

    @property
    def state(self) -> ProcessState:
        """How it stands."""
        pid = self._process.pid if self._process and self._process.returncode is None else 0
        program = self.program
        return ProcessState(program.name, pid, self._state, self._restarts, program.address, program.metrics)

    async def start(self) -> None:
        """Start it and return when it is ready for the first time. Raises Unavailable with the end of its log."""
        rotate_log(self._log_path)
        self._first_ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_running(), name=self.program.name)
        self._task.add_done_callback(self._on_task_end)
        try:
            await asyncio.wait_for(asyncio.shield(self._first_ready), self.program.ready_within_s)
        except TimeoutError:
            raise Unavailable(
                f"{self.program.name} was not ready within {self.program.ready_within_s:.0f} s{self._log_tail()}"
            ) from None

    async def stop(self) -> None:
        """Ask it to end, and kill it with all it started when it does not in time."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            send_signal(process, self.program.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self.program.stop_within_s)
            except TimeoutError:
                self.kill()
                await process.wait()
        if process is not None:
            # What it may have left in its process group has nobody to serve now.
            kill_group(process.pid)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._change("stopped")

    def kill(self) -> None:
        """End it now, with all it started."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            kill_group(self._process.pid)

    def _on_task_end(self, task: "asyncio.Task[None]") -> None:
        assert self._first_ready is not None
        if not self._first_ready.done() and not task.cancelled() and (error := task.exception()) is not None:
            self._first_ready.set_exception(error)

    async def _keep_running(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping:
            started = time.monotonic()
            try:
                await self._run_once()
            except (PixvecError, OSError) as error:
                # It ran before, and what keeps it from it now may pass.
                if not self._has_been_ready:
                    raise
                self._note(f"cannot be started: {error}")
            if self._stopping:
                return
            self._restarts += 1
            self._check_first_start()
            self._change("waiting")
            if time.monotonic() - started > _WELL_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    @property
    def _has_been_ready(self) -> bool:
        return self._first_ready is not None and self._first_ready.done()

    def _note(self, event: str) -> None:
        with self._log_path.open("a") as log:
            log.write(f"{event}\n")

    def _check_first_start(self) -> None:
        if not self._has_been_ready and self._restarts >= _FIRST_TRIES:
            status = self._process.returncode if self._process else None
            raise Unavailable(f"{self.program.name} does not start (exit status {status}){self._log_tail()}")

    async def _run_once(self) -> None:
        if self.program.prepare is not None:
            await asyncio.to_thread(self.program.prepare)
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                cwd="/",
                env={**os.environ, **self.program.env},
                # A session of its own: Ctrl-C on the terminal is for the supervisor alone.
                start_new_session=True,
                preexec_fn=die_with_parent(self.program.death_signal, self.program.identity),
            )
        self._change("starting")
        watch = asyncio.create_task(self._watch(self._process))
        try:
            await self._process.wait()
        finally:
            watch.cancel()
            # Its children are of no use without it, and may hold what the next one needs.
            kill_group(self._process.pid)

    async def _watch(self, process: Process) -> None:
        is_ready = self.program.is_ready
        while is_ready is not None and not await is_ready():  # noqa: ASYNC110 - polled
            await asyncio.sleep(_READY_POLL_S)
        self._change("ready")
        assert self._first_ready is not None
        if not self._first_ready.done():
            self._first_ready.set_result(None)
        if is_ready is not None:
            await self._watch_silence(is_ready)
            await self._end_silent(process)

    async def _watch_silence(self, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Return once it has been silent for too long; one that is being stopped may be."""
        silent_since: float | None = None
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, self.program.silent_for_s))
            answers = await is_ready() or self._stopping
            if answers and silent_since is not None:
                silent_since = None
                self._change("ready")
            elif not answers and silent_since is None:
                silent_since = time.monotonic()
                self._change(NOT_ANSWERING)
            elif silent_since is not None and time.monotonic() - silent_since >= self.program.silent_for_s:
                return

    async def _end_silent(self, process: Process) -> None:
        self._note(f"has not answered for {self.program.silent_for_s:.0f} s: ended, to be started again")
        # What it started may have to be told by it: a database's own processes are in sessions of their own.
        send_signal(process, self.program.death_signal)
        await asyncio.sleep(self.program.stop_within_s)
        kill_group(process.pid)

    def _change(self, state: str) -> None:
        self._state = state
        self._on_change()

    def _log_tail(self) -> str:
        return f": {found}\nIts log is {self._log_path}" if (found := last_words(self._log_path)) else ""


def send_signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to a process that may just have ended."""
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def kill_group(pid: int) -> None:
    """Kill the process group that a session leader left behind or leads."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def rotate_log(path: Path, keep: int = 3) -> None:
    """Move the log of the last run aside, keeping a few."""
    if not path.exists() or path.stat().st_size == 0:
        return
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


def last_words(log: Path, lines: int = 5) -> str:
    """Return the error that a log ends with, or its last lines."""
    if not log.exists():
        return ""
    tail = log.read_bytes()[-8192:].decode(errors="replace").strip().splitlines()[-lines:]
    for line in reversed(tail):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("error"):
            return str(entry["error"])
    return "\n".join(tail)
