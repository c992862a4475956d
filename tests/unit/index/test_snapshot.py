import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixvec.domain import Metric
from pixvec.index import durable
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.manifest import MANIFEST, ShardIdentity
from pixvec.index.shard import Shard
from pixvec.index.snapshot import clean, load_newest, remove_segments, write_snapshot
from pixvec.telemetry.metrics import SNAPSHOTS_REFUSED
from tests.unit.index.segments import build

SPACES = (SpaceSpec("image", 8, Metric.COSINE, "ab" * 32), SpaceSpec("shape", 3, Metric.EUCLIDEAN, "cd" * 32))
IDENTITY = ShardIdentity(7, 2, "epoch-1", SPACES)
QUERIES = np.random.default_rng(9).standard_normal((5, 8)).astype(np.float32)


def filled(through_seq: int) -> Shard:
    """A shard with something dead, something of several rows, something in one space only, and several blocks."""
    shard = Shard(SPACES, block_bytes=4 * 8 * 6)
    random = np.random.default_rng(0)
    for seq in range(1, through_seq + 1):
        vectors = {"image": random.standard_normal((1 + seq % 3, 8)).astype(np.float32)}
        if seq % 5:
            vectors["shape"] = random.standard_normal((1, 3)).astype(np.float32)
        shard.apply([Change(f"bild-ü-{seq % 17}", None if seq % 11 == 0 else vectors)], seq)
    return shard


def answers(shard: Shard) -> list[object]:
    found = shard.search("image", QUERIES, 100) + shard.search("shape", QUERIES[:, :3].copy(), 100)
    return [(hits.image_ids, hits.scores.tolist()) for hits in found]


def refused() -> float:
    return sum(
        sample.value
        for metric in SNAPSHOTS_REFUSED.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def files(snapshot: Path) -> list[Path]:
    return sorted(snapshot.iterdir())


def test_a_restored_shard_answers_the_same_and_goes_on(tmp_path: Path) -> None:
    shard = filled(60)
    write_snapshot(tmp_path, shard.view, IDENTITY)
    restored = load_newest(tmp_path, IDENTITY)
    assert restored is not None
    assert (restored.applied_seq, restored.image_count) == (60, shard.image_count)
    assert answers(restored) == answers(shard)
    change = [Change("bild-ü-3", {"image": np.ones((1, 8), np.float32)}), Change("bild-ü-4", None)]
    for each in (shard, restored):
        each.apply(change, 62)
    assert answers(restored) == answers(shard)
    assert restored.image_count == shard.image_count


def test_an_empty_shard(tmp_path: Path) -> None:
    shard = Shard(SPACES)
    shard.apply([Change("gone", None)], 5)
    write_snapshot(tmp_path, shard.view, IDENTITY)
    restored = load_newest(tmp_path, IDENTITY)
    assert restored is not None
    assert (restored.applied_seq, restored.image_count) == (5, 0)


def test_no_snapshot_is_no_shard(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "none", IDENTITY) is None


def test_the_newest_is_taken_and_two_are_kept(tmp_path: Path) -> None:
    written = [write_snapshot(tmp_path, filled(seq).view, IDENTITY) for seq in (10, 20, 30)]
    assert sorted(tmp_path.iterdir()) == sorted(written[1:])
    restored = load_newest(tmp_path, IDENTITY)
    assert restored is not None
    assert restored.applied_seq == 30


def flip(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    source = write_snapshot(tmp_path / "source", filled(20).view, IDENTITY)
    random = np.random.default_rng(0)
    for number, path in enumerate(files(source) * 12):
        copy = tmp_path / f"{number}" / source.name
        shutil.copytree(source, copy)
        flip(copy / path.name, int(random.integers(path.stat().st_size)), int(random.integers(8)))
        before = refused()
        assert load_newest(copy.parent, IDENTITY) is None, path.name
        assert refused() == before + 1
        shutil.rmtree(copy.parent)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def remove(path: Path) -> None:
    path.unlink()


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncate, empty, lengthen, remove, replace_by_folder])
def test_any_other_damage_is_noticed_and_the_older_snapshot_taken(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    older = filled(20)
    write_snapshot(tmp_path / "source", older.view, IDENTITY)
    newest = write_snapshot(tmp_path / "source", filled(40).view, IDENTITY)
    for number, path in enumerate(files(newest)):
        folder = tmp_path / f"{number}"
        shutil.copytree(tmp_path / "source", folder)
        damage(folder / newest.name / path.name)
        restored = load_newest(folder, IDENTITY)
        assert restored is not None, path.name
        assert restored.applied_seq == 20
        assert answers(restored) == answers(older)


def test_swapped_files_are_noticed(tmp_path: Path) -> None:
    source = write_snapshot(tmp_path / "source", filled(40).view, IDENTITY)
    names = [path.name for path in files(source)]
    for number, (one, other) in enumerate(pairwise(names)):
        copy = tmp_path / f"{number}" / source.name
        shutil.copytree(source, copy)
        (copy / one).rename(copy / "aside")
        (copy / other).rename(copy / one)
        (copy / "aside").rename(copy / other)
        assert load_newest(copy.parent, IDENTITY) is None


@pytest.mark.parametrize(
    "other",
    [
        ShardIdentity(8, 2, "epoch-1", SPACES),
        ShardIdentity(7, 3, "epoch-1", SPACES),
        ShardIdentity(7, 2, "epoch-2", SPACES),
        ShardIdentity(7, 2, "epoch-1", SPACES[:1]),
        ShardIdentity(7, 2, "epoch-1", (SpaceSpec("image", 8, Metric.COSINE, "ee" * 32), SPACES[1])),
    ],
    ids=["collection", "shard", "epoch", "spaces", "digest"],
)
def test_a_snapshot_of_something_else_is_refused(tmp_path: Path, other: ShardIdentity) -> None:
    write_snapshot(tmp_path, filled(10).view, IDENTITY)
    assert load_newest(tmp_path, other) is None


def test_a_snapshot_that_missed_deletions_or_is_ahead_is_refused(tmp_path: Path) -> None:
    write_snapshot(tmp_path, filled(10).view, IDENTITY)
    assert load_newest(tmp_path, IDENTITY, min_seq=10, max_seq=10) is not None
    assert load_newest(tmp_path, IDENTITY, min_seq=11) is None
    assert load_newest(tmp_path, IDENTITY, max_seq=9) is None


def with_a_segment(folder: Path) -> Path:
    """Return a snapshot that names a sealed segment."""
    shard = filled(20)
    build(shard, folder)
    return write_snapshot(folder, shard.view, IDENTITY)


def rewrite(snapshot: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Make a manifest say something else, with the hash that belongs to it."""
    fields = json.loads((snapshot / MANIFEST).read_bytes().partition(b"\n")[2])
    edit(fields)
    body = json.dumps(fields).encode()
    (snapshot / MANIFEST).write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


@pytest.mark.parametrize(
    "edit",
    [
        lambda fields: fields["sealed"][0]["segment"].update(kind="of-the-future"),
        lambda fields: fields["sealed"][0]["segment"]["settings"].update(storage="int4"),
        lambda fields: fields["sealed"][0]["segment"].update(more=1),
        lambda fields: fields["sealed"][0].pop("segment"),
        lambda fields: fields.update(parts=None),
        lambda fields: fields.pop("format"),
    ],
    ids=["kind", "storage", "more", "less", "nothing", "no format"],
)
def test_a_manifest_of_what_is_not_known_here_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    snapshot = with_a_segment(tmp_path)
    rewrite(snapshot, lambda _: None)
    assert load_newest(tmp_path, IDENTITY) is not None
    rewrite(snapshot, edit)
    before = refused()
    assert load_newest(tmp_path, IDENTITY) is None
    assert refused() == before + 1


@pytest.mark.parametrize("content", [b"", b"short", bytes(4096)])
def test_an_id_table_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    snapshot = with_a_segment(tmp_path)

    def seal_again(fields: dict[str, Any]) -> None:
        segment = fields["sealed"][0]["segment"]
        (ids,) = (file for file in segment["files"] if file["name"] == "ids.bin")
        (tmp_path / segment["name"] / "ids.bin").write_bytes(content)
        ids.update(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    rewrite(snapshot, seal_again)
    assert load_newest(tmp_path, IDENTITY) is None


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
def test_a_snapshot_that_cannot_be_read_now_keeps_its_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with_a_segment(tmp_path)
    (tmp_path / "segment-of-nobody").mkdir()
    there = set(tmp_path.iterdir())

    def fail(path: Path) -> bytes:
        raise OSError(code, os.strerror(code), path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fail)
        remove_segments(tmp_path, set)
    assert set(tmp_path.iterdir()) == there
    remove_segments(tmp_path, set)
    assert there - set(tmp_path.iterdir()) == {tmp_path / "segment-of-nobody"}
    assert load_newest(tmp_path, IDENTITY) is not None


def test_a_snapshot_that_is_damaged_keeps_no_segments(tmp_path: Path) -> None:
    flip(with_a_segment(tmp_path) / MANIFEST, 200, 0)
    remove_segments(tmp_path, set)
    assert not list(tmp_path.glob("segment-*"))


class Crash(BaseException):
    """The process is gone: nothing is tidied up."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Make the process die at the given system call of the writing of a snapshot."""
    calls = iter(range(1, 10**6))

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            if next(calls) == step:
                raise Crash
            return real(*arguments, **named)

        return call

    monkeypatch.setattr(os, "fsync", dying(os.fsync))
    for name in ("mkdir", "open", "rename", "unlink"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    monkeypatch.setattr(shutil, "rmtree", dying(shutil.rmtree))


def test_a_crash_at_any_step_leaves_a_good_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = {seq: filled(seq) for seq in (10, 20, 30)}
    step, crashed = 0, True
    while crashed:
        step += 1
        folder = tmp_path / f"{step}"
        for seq in (10, 20):
            write_snapshot(folder, shards[seq].view, IDENTITY)
        with monkeypatch.context() as patched:
            crash_at(patched, step)
            try:
                write_snapshot(folder, shards[30].view, IDENTITY)
                crashed = False
            except Crash:
                pass
        clean(folder)
        restored = load_newest(folder, IDENTITY)
        assert restored is not None, step
        assert restored.applied_seq in (20, 30)
        assert answers(restored) == answers(shards[restored.applied_seq])
        assert all((path / MANIFEST).exists() for path in folder.iterdir()), step
        write_snapshot(folder, shards[30].view, IDENTITY)
        assert len(list(folder.iterdir())) == 2
    assert step > 20


def test_nothing_is_relied_on_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in a test loses no cache of the system, so the order of calls itself is checked."""
    write_snapshot(tmp_path, filled(10).view, IDENTITY)
    oldest = write_snapshot(tmp_path, filled(20).view, IDENTITY)
    write_snapshot(tmp_path, filled(30).view, IDENTITY)
    done: list[tuple[str, Path]] = []
    fsync, rename, unlink, rmtree = os.fsync, Path.rename, Path.unlink, shutil.rmtree

    def note(call: str, path: object) -> None:
        done.append((call, Path(str(path))))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda fd: (note("fsync", Path(f"/proc/self/fd/{fd}").readlink()), fsync(fd)))
        patched.setattr(Path, "rename", lambda path, to: (note("rename", path), rename(path, to)))
        patched.setattr(Path, "unlink", lambda path: (note("unlink", path), unlink(path)))
        patched.setattr(shutil, "rmtree", lambda path, **named: (note("rmtree", path), rmtree(path, **named)))
        created = write_snapshot(tmp_path, filled(40).view, IDENTITY)

    parts = [path for path in files(created) if path.name != MANIFEST]
    unfinished = created / f"{MANIFEST}.tmp"
    assert len(parts) > 4
    assert set(done[: len(parts)]) == {("fsync", path) for path in parts}
    assert done[len(parts) :] == [
        ("fsync", created),
        ("fsync", unfinished),
        ("rename", unfinished),
        ("fsync", created),
        ("fsync", tmp_path),
        ("fsync", tmp_path.parent),
        ("unlink", oldest / MANIFEST),
        ("fsync", oldest),
        ("rmtree", oldest),
    ]


def test_a_full_disk_leaves_the_snapshots_that_were_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_snapshot(tmp_path, filled(10).view, IDENTITY)
    real = durable.write_sealed

    def full(folder: Path, name: str, content: bytes | memoryview) -> durable.FileSeal:
        if name.startswith("ids-2"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(folder, name, content)

    with monkeypatch.context() as patched:
        patched.setattr("pixvec.index.snapshot.write_sealed", full)
        with pytest.raises(OSError, match="No space"):
            write_snapshot(tmp_path, filled(30).view, IDENTITY)
    assert list(tmp_path.iterdir()) == [first]
    write_snapshot(tmp_path, filled(30).view, IDENTITY)
    restored = load_newest(tmp_path, IDENTITY)
    assert restored is not None
    assert restored.applied_seq == 30


def test_cleaning_keeps_what_is_whole(tmp_path: Path) -> None:
    whole = write_snapshot(tmp_path, filled(10).view, IDENTITY)
    (tmp_path / "snapshot-unfinished").mkdir()
    clean(tmp_path)
    assert list(tmp_path.iterdir()) == [whole]
