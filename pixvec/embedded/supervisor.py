"""Starts a system's programs in order, keeps them running, and stops them in reverse."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable

from pixvec.catalogue import migrations
from pixvec.embedded.config import StackConfig, make_folders
from pixvec.embedded.ports import check_free, free_port
from pixvec.embedded.postgres import PostgresServer
from pixvec.embedded.program import Program, SupervisedProgram
from pixvec.embedded.stack import postgres_program, redis_program, redis_url, service_programs
from pixvec.embedded.state import DataLock, SystemState, write_state

DATABASE = "pixvec"


class Supervisor:
    """One system over one data folder. `say` is told how it stands once everything runs."""

    def __init__(self, config: StackConfig, say: Callable[[SystemState], None] = lambda _: None) -> None:
        self._config = config
        self._say = say
        self._postgres = PostgresServer(config.data_dir / "postgres", config.run_dir)
        self._listen = _with_port(config.listen)
        self._programs: list[SupervisedProgram] = []
        self._phase = "starting"
        self._started_at = time.time()

    async def run(self) -> None:
        """Run the system until SIGINT or SIGTERM; a second one kills what is still there.

        Raises FailedPrecondition when another system runs on the data, Unavailable when a program does not start.
        """
        make_folders(self._config)
        with DataLock(self._config.data_dir):
            # At once: what a killed supervisor left there names processes that are gone.
            self._enter("starting")
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._signalled, stop)
            starting, stopping = asyncio.create_task(self._start()), asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    starting.result()
                    await stopping
            finally:
                stop.set()
                starting.cancel()
                stopping.cancel()
                await asyncio.gather(starting, stopping, return_exceptions=True)
                await self._stop()

    def _signalled(self, stop: asyncio.Event) -> None:
        if stop.is_set():
            for program in self._programs:
                program.kill()
        stop.set()

    async def _start(self) -> None:
        self._check_ports()
        await asyncio.to_thread(self._postgres.prepare)
        await self._launch(postgres_program(self._postgres))
        await asyncio.to_thread(self._postgres.create_database, DATABASE)
        await asyncio.to_thread(migrations.upgrade, self._postgres.url(DATABASE))
        await self._launch(redis_program(self._config))
        services = service_programs(self._config, self._postgres.url(DATABASE), self._listen)
        await asyncio.gather(*map(self._launch, services))
        self._enter("ready")
        self._say(self._state())

    def _check_ports(self) -> None:
        check_free(self._listen, "choose another --listen, or stop what listens there")
        for address in self._config.metrics_addresses.values():
            check_free(address, "choose another --metrics-port, or stop what listens there")

    async def _launch(self, program: Program) -> None:
        supervised = SupervisedProgram(program, self._config.log_dir, self._write)
        self._programs.append(supervised)
        await supervised.start()

    async def _stop(self) -> None:
        """Stop our own programs first, all together; then the broker and the database, which they use."""
        self._enter("stopping")
        below = [program for program in self._programs if program.program.name in ("redis", "postgres")]
        await asyncio.gather(*(program.stop() for program in self._programs if program not in below))
        for program in reversed(below):
            await program.stop()
        self._config.state_path.unlink(missing_ok=True)
        shutil.rmtree(self._config.run_dir, ignore_errors=True)

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._write()

    def _write(self) -> None:
        write_state(self._config.state_path, self._state())

    def _state(self) -> SystemState:
        return SystemState(
            supervisor_pid=os.getpid(),
            phase=self._phase,
            address=self._listen,
            redis_url=redis_url(self._config),
            database_url=self._postgres.url(DATABASE),
            data_dir=str(self._config.data_dir),
            started_at=self._started_at,
            processes=tuple(program.state for program in self._programs),
        )


def _with_port(listen: str) -> str:
    """Replace port 0 by a free one: it has to stay the same when the gateway is started again."""
    host, _, port = listen.rpartition(":")
    return f"{host}:{free_port(host)}" if port == "0" else listen
