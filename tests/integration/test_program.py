"""One program under supervision: real processes, each a line of Python."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from pixvec.embedded.program import Program, SupervisedProgram
from pixvec.errors import FailedPrecondition, Unavailable
from tests.in_loop import in_loop

LASTS = "import time; print('started', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LASTS}"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {LASTS}"
FAILS = 'print(\'{"event": "gateway_failed", "error": "no database: start one"}\'); raise SystemExit(3)'


class Bench:
    """Programs that log to one folder; `is_ready` once the program has said that it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes = 0

    @property
    def log(self) -> str:
        return (self.folder / "program.log").read_text()

    async def has_started(self) -> bool:
        return "started" in self.log

    def program(self, code: str, **options: object) -> SupervisedProgram:
        made = Program("program", [sys.executable, "-c", code], **({"is_ready": self.has_started} | options))
        return SupervisedProgram(made, self.folder, self.changed)

    def changed(self) -> None:
        self.changes += 1


@asynccontextmanager
async def running(program: SupervisedProgram) -> AsyncIterator[psutil.Process]:
    await program.start()
    try:
        yield psutil.Process(program.state.pid)
    finally:
        await program.stop()


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(0.01)


def runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@in_loop
async def test_a_program_is_started_told_its_settings_and_stopped(bench: Bench) -> None:
    program = bench.program(f"import os; print(os.environ['TOLD'], os.getcwd()); {LASTS}", env={"TOLD": "so"})
    async with running(program) as process:
        assert program.state.state == "ready"
        assert bench.log == "so /\nstarted\n"
    assert not runs(process)
    assert (program.state.state, program.state.pid, program.state.restarts) == ("stopped", 0, 0)
    assert bench.changes >= 3


@in_loop
async def test_a_program_that_ends_is_started_again(bench: Bench) -> None:
    program = bench.program(LASTS)
    async with running(program) as process:
        for starts in (2, 3):
            os.kill(program.state.pid, signal.SIGKILL)
            await until(lambda: bench.log == "started\n" * starts)  # noqa: B023
        await until(lambda: program.state.state == "ready")
        assert program.state.restarts == 2
        assert program.state.pid not in (0, process.pid)


@in_loop
async def test_what_a_dead_program_started_goes_before_the_next_one_comes(bench: Bench) -> None:
    program = bench.program(PARENT)
    async with running(program) as process:
        await until(process.children)
        (child,) = process.children()
        process.kill()
        await until(lambda: program.state.restarts == 1)
        await until(lambda: not runs(child))


@in_loop
async def test_a_program_that_will_not_stop_is_killed_with_all_it_started(bench: Bench) -> None:
    program = bench.program(
        f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PARENT}", stop_within_s=0.2
    )
    async with running(program) as process:
        await until(process.children)
        family = [process, *process.children()]
    await until(lambda: not any(map(runs, family)))


@in_loop
async def test_a_program_that_never_starts_is_given_up_with_what_it_said(bench: Bench) -> None:
    program = bench.program(FAILS)
    with pytest.raises(Unavailable, match=r"program does not start \(exit status 3\): no database: start one") as told:
        await program.start()
    assert str(bench.folder / "program.log") in told.value.message
    await program.stop()


@in_loop
async def test_a_program_that_takes_too_long_is_given_up(bench: Bench) -> None:
    async def never() -> bool:
        return False

    program = bench.program(LASTS, is_ready=never, ready_within_s=0.1)
    with pytest.raises(Unavailable, match="program was not ready within"):
        await program.start()
    await program.stop()
    assert program.state.pid == 0


@in_loop
async def test_a_program_that_is_not_there_is_named(bench: Bench) -> None:
    program = SupervisedProgram(Program("program", ["/no/such/program"]), bench.folder, bench.changed)
    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        await program.start()
    await program.stop()


@in_loop
async def test_what_has_to_be_done_before_a_start_is_done_before_each(bench: Bench) -> None:
    prepared: list[str] = []
    program = bench.program(LASTS, prepare=lambda: prepared.append("once"))
    async with running(program) as process:
        process.kill()
        await until(lambda: program.state.restarts == 1 and program.state.state == "ready")
    assert prepared == ["once", "once"]


@in_loop
async def test_a_start_that_cannot_be_prepared_fails_the_first_time(bench: Bench) -> None:
    def refuse() -> None:
        raise FailedPrecondition("another server runs there")

    program = bench.program(LASTS, prepare=refuse)
    with pytest.raises(FailedPrecondition, match="another server"):
        await program.start()
    await program.stop()


@in_loop
async def test_a_restart_that_cannot_be_prepared_is_tried_again(bench: Bench) -> None:
    outcomes = iter([None, FailedPrecondition("orphans still run"), None])

    def prepare() -> None:
        if (error := next(outcomes)) is not None:
            raise error

    program = bench.program(LASTS, prepare=prepare)
    async with running(program) as process:
        process.kill()
        await until(lambda: bench.log.count("started\n") == 2)
        assert "cannot be started: orphans still run" in bench.log


class Voice:
    """Says whether the program answers; each process is asked anew."""

    def __init__(self, answers: bool = True) -> None:
        self.answers = answers
        self.asked = 0

    async def is_ready(self) -> bool:
        self.asked += 1
        return self.answers

    async def is_heard(self) -> None:
        """Return after two more questions, the second of which begins after this call."""
        heard = self.asked
        await until(lambda: self.asked > heard + 1)


@in_loop
async def test_a_program_that_lives_and_does_not_answer_is_shown_and_started_again(bench: Bench) -> None:
    async def answers() -> bool:
        return "started" in bench.log and program.state.pid != silent

    silent = 0
    program = bench.program(LASTS, is_ready=answers, silent_for_s=0.05, death_signal=signal.SIGTERM)
    async with running(program) as process:
        silent = process.pid
        await until(lambda: program.state.state == "not answering")
        await until(lambda: program.state.restarts == 1 and program.state.state == "ready")
        assert not runs(process)
        assert "has not answered for 0 s" in bench.log


@in_loop
async def test_a_silent_program_that_ignores_the_signal_is_killed(bench: Bench) -> None:
    async def answers() -> bool:
        return "started" in bench.log and program.state.pid != silent

    silent = 0
    options = {"silent_for_s": 0.05, "death_signal": signal.SIGTERM, "stop_within_s": 0.1}
    program = bench.program(STUBBORN, is_ready=answers, **options)
    async with running(program) as process:
        silent = process.pid
        await until(lambda: program.state.restarts == 1)
        assert not runs(process)


@in_loop
async def test_a_program_that_is_silent_for_a_moment_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixvec.embedded.program._LOOK_EVERY_S", 0.01)
    voice = Voice()
    program = bench.program(LASTS, is_ready=voice.is_ready)
    async with running(program) as process:
        voice.answers = False
        await until(lambda: program.state.state == "not answering")
        voice.answers = True
        await until(lambda: program.state.state == "ready")
        assert (program.state.restarts, program.state.pid) == (0, process.pid)


@in_loop
async def test_a_program_that_is_slow_to_stop_is_not_taken_for_a_silent_one(bench: Bench) -> None:
    voice = Voice()
    slow = f"import signal, time; signal.signal(signal.SIGTERM, lambda *_: (print('going', flush=True))); {LASTS}"
    program = bench.program(slow, is_ready=voice.is_ready, silent_for_s=0.01, stop_within_s=600.0)
    async with running(program) as process:
        await until(lambda: "started" in bench.log)
        stopping = asyncio.create_task(program.stop())
        await until(lambda: "going" in bench.log)
        voice.answers = False
        await voice.is_heard()
        await voice.is_heard()
        assert "has not answered" not in bench.log
        assert not stopping.done()
        process.kill()
        await stopping
