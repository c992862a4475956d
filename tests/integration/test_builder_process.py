"""Indexes built by a process of their own: a real one, which can be killed, and does not outlive who started it."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import faiss
import numpy as np
import psutil
import pytest

from pixvec.domain import IndexKind, IndexSettings, Metric
from pixvec.index.building import INDEX, VECTORS, write_index, write_rows
from pixvec.index.durable import FileSeal, check_sealed, seal_file
from pixvec.index.interfaces import SpaceSpec
from services.searcher import builder as builder_module
from services.searcher.builder_process import BuilderProcess, BuildHurried

LIMIT_S = 60.0
SETTINGS = IndexSettings(IndexKind.HNSW)
# So many rows that a build takes longer than finding its process and killing it.
LONG = IndexSettings(IndexKind.HNSW, hnsw_m=64, ef_construction=2000)


def rows(folder: Path, count: int = 300, dim: int = 16) -> Path:
    """Write the rows of a segment, as a searcher does before it has the index built."""
    space = SpaceSpec("image", dim, Metric.COSINE, "ab" * 32, SETTINGS)
    vectors = np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32)
    write_rows(folder, space, lambda: [([f"image-{number}" for number in range(count)], vectors)])
    return folder


def until(condition: Callable[[], object]) -> None:
    """Wait for what another process does."""
    give_up_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def builders(parent: int) -> list[psutil.Process]:
    """Return the processes that build for this one."""
    return [child for child in psutil.Process(parent).children() if is_building(child)]


def is_building(process: psutil.Process) -> bool:
    try:
        return "services.searcher.builder" in process.cmdline()
    except psutil.Error:
        # It has ended.
        return False


@pytest.mark.parametrize("kind", [IndexKind.HNSW, IndexKind.FLAT_INT8, IndexKind.FLAT_BINARY])
def test_the_index_is_that_which_would_be_built_here(kind: IndexKind, tmp_path: Path) -> None:
    folder = rows(tmp_path)
    built = BuilderProcess(1)(folder, kind, Metric.COSINE, SETTINGS)
    check_sealed(folder, built)
    content = (folder / INDEX).read_bytes()
    (folder / INDEX).unlink()
    assert write_index(folder, kind, Metric.COSINE, SETTINGS, threads=1) == built
    assert (folder / INDEX).read_bytes() == content


def test_settings_reach_the_builder(tmp_path: Path) -> None:
    folder = rows(tmp_path)
    BuilderProcess(1)(folder, IndexKind.HNSW, Metric.EUCLIDEAN, IndexSettings(hnsw_m=7, ef_construction=33))
    index = faiss.read_index(str(folder / INDEX))
    assert (index.hnsw.nb_neighbors(0), index.hnsw.efConstruction) == (14, 33)
    assert index.metric_type == faiss.METRIC_L2


def start(builder: BuilderProcess, folder: Path) -> tuple[threading.Thread, list[Exception]]:
    """Have an index built in a thread that lives on; return what the build raises."""
    raised: list[Exception] = []

    def build() -> None:
        try:
            builder(folder, IndexKind.HNSW, Metric.COSINE, LONG)
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    until(lambda: builders(os.getpid()))
    return thread, raised


@pytest.fixture
def long_rows(tmp_path: Path) -> Path:
    return rows(tmp_path, 60_000, 64)


def test_a_builder_that_is_killed_fails_its_build_alone(
    long_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    builder = BuilderProcess(1)
    thread, raised = start(builder, long_rows)
    for process in builders(os.getpid()):
        process.kill()
    thread.join(LIMIT_S)
    assert len(raised) == 1
    assert "ended with -9" in str(raised[0])
    # The next one works.
    folder = rows(tmp_path_factory.mktemp("next"))
    check_sealed(folder, builder(folder, IndexKind.HNSW, Metric.COSINE, SETTINGS))


def test_closing_ends_the_build_and_lets_no_other_begin(long_rows: Path) -> None:
    builder = BuilderProcess(1)
    thread, raised = start(builder, long_rows)
    builder.close()
    thread.join(LIMIT_S)
    assert len(raised) == 1
    assert not builders(os.getpid())
    with pytest.raises(OSError, match="shutting down"):
        builder(long_rows, IndexKind.HNSW, Metric.COSINE, SETTINGS)


def test_a_builder_leaves_the_processor_to_others(long_rows: Path) -> None:
    builder = BuilderProcess(1)
    thread, _ = start(builder, long_rows)
    (process,) = builders(os.getpid())
    until(lambda: os.sched_getscheduler(process.pid) == os.SCHED_IDLE)
    builder.close()
    thread.join(LIMIT_S)


def leaves_idle() -> bool:
    """Return whether the kernel lets a process of this user out of SCHED_IDLE: unprivileged ones may not, mostly."""
    return subprocess.run([sys.executable, "-c", _LEAVE_IDLE], stderr=subprocess.DEVNULL).returncode == 0


_LEAVE_IDLE = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
"""


def test_a_hurried_builder_takes_turns_with_others(long_rows: Path) -> None:
    if not leaves_idle():
        pytest.skip("the kernel lets no process of this user leave SCHED_IDLE")
    builder = BuilderProcess(1)
    thread, _ = start(builder, long_rows)
    (process,) = builders(os.getpid())
    until(lambda: os.sched_getscheduler(process.pid) == os.SCHED_IDLE)
    builder.hurry()
    threads = [each.id for each in process.threads()]
    assert {os.sched_getscheduler(each) for each in threads} == {os.SCHED_OTHER}
    builder.close()
    thread.join(LIMIT_S)
    builder.hurry()


def test_a_builder_that_the_kernel_does_not_let_hurry_is_to_begin_again(
    long_rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a searcher without privileges: nobody leaves SCHED_IDLE by itself."""

    def refuse(*_: object) -> None:
        raise PermissionError("not you")

    builder = BuilderProcess(1)
    thread, raised = start(builder, long_rows)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    builder.hurry()
    thread.join(LIMIT_S)
    assert [type(each) for each in raised] == [BuildHurried]


@pytest.mark.parametrize("is_urgent", [False, True])
def test_an_urgent_build_takes_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_urgent: bool
) -> None:
    """Else searches that keep every core busy would keep a full shard full."""
    orders: list[str] = []

    def start_nothing(self: BuilderProcess, order: str, **_: object) -> None:
        orders.append(order)
        raise OSError("enough")

    monkeypatch.setattr(BuilderProcess, "_start", start_nothing)
    with pytest.raises(OSError, match="enough"):
        BuilderProcess(1)(rows(tmp_path), IndexKind.HNSW, Metric.COSINE, SETTINGS, is_urgent=is_urgent)
    policies: list[int] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, param: policies.append(policy))
    monkeypatch.setattr(builder_module, "follow_parent", lambda parent: None)
    monkeypatch.setattr(sys, "argv", ["builder", *orders])
    builder_module.main()
    assert policies == ([] if is_urgent else [os.SCHED_IDLE])
    assert FileSeal(**json.loads(capsys.readouterr().out)) == seal_file(tmp_path / INDEX)


def test_a_disk_that_fills_up_is_said_in_words(tmp_path: Path) -> None:
    folder = rows(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What the builder inherits: it can write less than the index takes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match=r"the build of hnsw in .* ended with 1: index.faiss cannot be written"):
            BuilderProcess(1)(folder, IndexKind.HNSW, Metric.COSINE, SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_sealed(folder, BuilderProcess(1)(folder, IndexKind.HNSW, Metric.COSINE, SETTINGS))


def test_rows_that_are_not_there_are_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"{VECTORS} cannot be read"):
        BuilderProcess(1)(tmp_path, IndexKind.HNSW, Metric.COSINE, SETTINGS)


_PARENT = """
import sys
from pathlib import Path
from pixvec.domain import IndexKind, IndexSettings, Metric
from services.searcher.builder_process import BuilderProcess, BuildHurried
settings = IndexSettings(hnsw_m=64, ef_construction=2000)
BuilderProcess(1)(Path(sys.argv[1]), IndexKind.HNSW, Metric.COSINE, settings)
"""


def test_a_builder_does_not_outlive_its_searcher(long_rows: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(long_rows)])
    until(lambda: builders(parent.pid))
    (builder,) = builders(parent.pid)
    # Once it has tied itself to its parent: before, it ends of itself when it finds another in its place.
    until(lambda: os.sched_getscheduler(builder.pid) == os.SCHED_IDLE)
    parent.kill()
    parent.wait(LIMIT_S)
    until(lambda: not is_building(builder))
    assert not (long_rows / INDEX).exists()


def test_a_builder_that_finds_another_parent_does_nothing(tmp_path: Path) -> None:
    order = {
        "parent": os.getpid() + 1,
        "folder": str(rows(tmp_path)),
        "kind": IndexKind.HNSW,
        "metric": Metric.COSINE,
        "settings": asdict(SETTINGS),
        "threads": 1,
        "is_urgent": False,
    }
    done = subprocess.run([sys.executable, "-m", "services.searcher.builder", json.dumps(order)], timeout=LIMIT_S)
    assert done.returncode == 127
    assert not (tmp_path / INDEX).exists()
