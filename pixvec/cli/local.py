"""The commands about the system on this machine: up, down, status."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from pixvec.cli.console import plain_console
from pixvec.errors import FailedPrecondition

if TYPE_CHECKING:
    from pixvec.embedded.state import SystemState

console = plain_console()
LISTEN = "127.0.0.1:50051"
Data = Annotated[Path | None, typer.Option(help="The data folder; default: ~/.local/share/pixvec.")]
_STOP_LIMIT_S = 60.0


def up(
    data: Data = None,
    listen: Annotated[str, typer.Option(help="The gateway's address; port 0: any free one.")] = LISTEN,
    shards: Annotated[int, typer.Option(help="Shards of a new collection.")] = 1,
    searchers: Annotated[int, typer.Option(help="Searcher processes.")] = 1,
    replicas: Annotated[int, typer.Option(help="Searchers that hold each shard.")] = 1,
    weights: Annotated[list[str] | None, typer.Option(help="MODEL=FILE; may be given again.")] = None,
    root: Annotated[list[Path] | None, typer.Option(help="A folder that may be read by reference.")] = None,
    download: Annotated[bool, typer.Option(help="Fetch published weights when none are here.")] = True,
    metrics_port: Annotated[
        int, typer.Option(help="Serve Prometheus metrics from this port on, one port a process; 0: do not.")
    ] = 0,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    from pixvec.embedded.config import StackConfig
    from pixvec.embedded.supervisor import Supervisor
    from pixvec.vision.weights import parse_weights

    files = {model: file.resolve() for model, file in parse_weights(",".join(weights or [])).items()}
    roots = tuple(folder.resolve() for folder in root or [])
    config = StackConfig(data_folder(data), listen, shards, searchers, replicas, files, download, roots, metrics_port)
    console.print(f"Starting pixvec on {config.data_dir} …")
    asyncio.run(Supervisor(config, _announce).run())
    console.print("Stopped.")


def _announce(state: "SystemState") -> None:
    console.print(f"gateway  {state.address}")
    _print_metrics(state)
    console.print(f"logs     {state.data_dir}/logs\nCtrl-C stops it.")


def _print_metrics(state: "SystemState") -> None:
    for process in sorted(state.processes, key=lambda process: process.metrics):
        if process.metrics:
            console.print(f"metrics  http://{process.metrics}/metrics ({process.name})")


def down(data: Data = None) -> None:
    """Stop the system that runs on a data folder."""
    from pixvec.embedded.state import is_locked, read_state

    folder = data_folder(data)
    state = read_state(folder)
    if state is None:
        console.print(f"Nothing runs on {folder}.")
        return
    with suppress(ProcessLookupError):
        os.kill(state.supervisor_pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_LIMIT_S
    while is_locked(folder):
        if time.monotonic() > deadline:
            raise FailedPrecondition(f"process {state.supervisor_pid} does not stop: kill -9 {state.supervisor_pid}")
        time.sleep(0.1)
    console.print("Stopped.")


def status(data: Data = None, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show the processes of the running system, their addresses and their memory."""
    from pixvec.embedded.state import read_state

    state = read_state(data_folder(data))
    if state is None:
        raise FailedPrecondition(f"nothing runs on {data_folder(data)}: start it with `pixvec up`")
    memory = {process.name: memory_of(process.pid) for process in state.processes}
    if as_json:
        processes = [asdict(each) | {"memory_bytes": memory[each.name]} for each in state.processes]
        total = {"address": state.address, "phase": state.phase, "memory_bytes": sum(memory.values())}
        typer.echo(json.dumps(total | {"processes": processes}))
        return
    _print_status(state, memory)


def _print_status(state: "SystemState", memory: Mapping[str, int]) -> None:
    columns = ("process", "pid", "state", "restarts", "memory, MB", Column("address", overflow="fold"))
    table = Table(*columns, title=f"{state.phase} at {state.address}")
    for process in state.processes:
        numbers = (str(process.restarts), f"{memory[process.name] / 1e6:,.0f}")
        table.add_row(process.name, str(process.pid), process.state, *numbers, process.address)
    table.add_row("all", "", "", "", f"{sum(memory.values()) / 1e6:,.0f}", "")
    console.print(table)
    _print_metrics(state)


def memory_of(pid: int) -> int:
    """Return the bytes of memory of a process and all below it, pages shared by several counted once (PSS)."""
    import psutil

    if not pid:
        return 0
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def data_folder(data: Path | None) -> Path:
    """Return the data folder that is meant."""
    from pixvec.embedded.config import default_data_dir

    return (data or default_data_dir()).expanduser().resolve()
