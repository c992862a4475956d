"""A disk that is full, at whatever byte, fails a build or a snapshot: what was there goes on, the next try works."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pixvec.domain import IndexKind, IndexSettings, Metric
from pixvec.index.durable import Damaged
from pixvec.index.interfaces import ShardHits, SpaceSpec
from pixvec.index.manifest import ShardIdentity
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from pixvec.index.snapshot import load_newest, write_snapshot
from tests.unit.index.segments import BUILT_KINDS, EXACT, begin, build, clustered, deletes, puts, same

DIM = 8
QUERIES = clustered(4, DIM, seed=9)


def filled(kind: IndexKind) -> Shard:
    """Eighty pictures that grow."""
    shard = Shard([SpaceSpec("image", DIM, Metric.COSINE, "ab" * 32, IndexSettings(kind))])
    shard.apply(puts(clustered(80, DIM)), 80)
    return shard


def answers(shard: Shard) -> list[ShardHits]:
    return shard.search("image", QUERIES, 20, options=EXACT)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes: the system refuses the write, as it does when the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def failing_at(step: int, code: int) -> Iterator[None]:
    """Fail the fsync of this number: what a disk has no room for, or lost, may show no earlier."""
    real, calls = os.fsync, iter(range(10**6))

    def fsync(descriptor: int) -> None:
        if next(calls) == step:
            raise OSError(code, os.strerror(code))
        real(descriptor)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        yield


def check_build(shard: Shard, folder: Path, trouble: Callable[[], Iterator[None]]) -> bool:
    """Build in trouble; return whether it was possible all the same. If not, nothing is left of it."""
    before, begun = answers(shard), begin(shard, kind=shard.spaces[0].index.kind)
    try:
        with trouble():
            segment = seal(folder, begun, index_in_this_process)
    except (OSError, Damaged):
        shard.abandon_build(begun)
        assert same(answers(shard), before)
        assert not list(folder.glob("segment-*"))
        return False
    shard.finish_build(begun, segment)
    assert same(answers(shard), before)
    return True


@pytest.mark.parametrize("kind", BUILT_KINDS)
def test_a_build_without_room(kind: IndexKind, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shard, size = filled(kind), 0
    while not check_build(shard, tmp_path, lambda size=size: room_for(size)):
        shard.apply(puts(clustered(1, DIM, seed=size), 7), shard.applied_seq + 1)
        size += 1 + size // 40
    assert size > 500
    assert shard.image_count == 80
    assert len(shard.view.spaces["image"].sealed) == 1
    # FAISS tells of some on standard error.
    capfd.readouterr()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("kind", [IndexKind.FLAT, IndexKind.HNSW])
def test_a_build_that_cannot_be_brought_to_the_disk(kind: IndexKind, code: int, tmp_path: Path) -> None:
    shard, step = filled(kind), 0
    while not check_build(shard, tmp_path, lambda step=step: failing_at(step, code)):
        step += 1
    # Each file, the folder, and the two above.
    assert step == (5 if kind is IndexKind.FLAT else 6)


def check_snapshot(shard: Shard, folder: Path, trouble: Callable[[], Iterator[None]]) -> bool:
    """Write a snapshot in trouble; return whether it was possible all the same. If not, the older one is there yet."""
    identity = ShardIdentity(1, 0, "epoch", shard.spaces)
    there = set(folder.iterdir())
    try:
        with trouble():
            write_snapshot(folder, shard.view, identity)
    except OSError:
        is_written = False
    else:
        is_written = True
    restored = load_newest(folder, identity)
    assert restored is not None
    assert is_written or set(folder.iterdir()) == there or restored.applied_seq == shard.applied_seq
    assert restored.applied_seq in ((shard.applied_seq,) if is_written else (80, shard.applied_seq))
    restored.apply([*deletes(range(9)), *puts(clustered(20, DIM, seed=2), 70)], shard.applied_seq)
    assert same(answers(restored), answers(shard))
    return is_written


def with_a_snapshot(folder: Path) -> Shard:
    """A shard with a sealed segment and an older snapshot, which has moved since."""
    shard = filled(IndexKind.HNSW)
    build(shard, folder, kind=IndexKind.HNSW)
    write_snapshot(folder, shard.view, ShardIdentity(1, 0, "epoch", shard.spaces))
    shard.apply([*deletes(range(9)), *puts(clustered(20, DIM, seed=2), 70)], 100)
    return shard


def test_a_snapshot_without_room(tmp_path: Path) -> None:
    shard, size = with_a_snapshot(tmp_path), 0
    while not check_snapshot(shard, tmp_path, lambda size=size: room_for(size)):
        size += 1 + size // 40
    assert size > 500


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_snapshot_that_cannot_be_brought_to_the_disk(code: int, tmp_path: Path) -> None:
    shard, step = with_a_snapshot(tmp_path), 0
    while not check_snapshot(shard, tmp_path, lambda step=step: failing_at(step, code)):
        step += 1
    assert step > 6
