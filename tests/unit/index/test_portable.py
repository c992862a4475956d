"""A snapshot carried to another disk answers the same there, whatever was deleted behind it, and no crash is seen."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import IndexKind, IndexSettings, Metric
from pixvec.index import portable, snapshot
from pixvec.index.durable import Damaged
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.manifest import MANIFEST, ShardIdentity
from pixvec.index.plan import BuildPolicy
from pixvec.index.portable import Portable, link_snapshot, make_incoming, take_in
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from pixvec.index.snapshot import clean, load_newest, remove_segments, write_snapshot

DIM = 8
SPACES = (
    SpaceSpec("image", DIM, Metric.COSINE, "ab" * 32, IndexSettings(IndexKind.HNSW)),
    SpaceSpec("shape", 3, Metric.EUCLIDEAN, "cd" * 32),
)
HERE = ShardIdentity(7, 2, "epoch-1", SPACES)
THERE = replace(HERE, epoch="epoch-2")
QUERIES = np.random.default_rng(9).standard_normal((5, DIM)).astype(np.float32)


def changes(first: int, last: int) -> list[Change]:
    random = np.random.default_rng(first)
    return [
        Change(
            f"bild-ü-{number}",
            {"image": random.standard_normal((2, DIM)), "shape": random.standard_normal((1, 3)).astype(np.float32)},
        )
        for number in range(first, last)
    ]


def filled(folder: Path) -> Shard:
    """A shard with sealed rows in both spaces, some of them dead, and growing ones."""
    shard = Shard(SPACES)
    shard.apply(changes(0, 60), 60)
    while build := shard.begin_build(BuildPolicy(seal_rows=50, least_rows=10)):
        shard.finish_build(build, seal(folder, build, index_in_this_process))
    shard.apply([*changes(60, 70), Change("bild-ü-3", None), Change("bild-ü-5", None)], 72)
    return shard


def answers(shard: Shard) -> list[object]:
    found = shard.search("image", QUERIES, 100) + shard.search("shape", QUERIES[:, :3].copy(), 100)
    return [(hits.image_ids, hits.scores.tolist()) for hits in found]


def carry(going: Portable, folder: Path) -> Path:
    """Bring what a portable folder lists to another shard's folder, as a backup and its restore do."""
    incoming = make_incoming(folder)
    for file in going.files:
        target = incoming / file.path
        target.parent.mkdir(exist_ok=True)
        content = (going.folder / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.seal.size_bytes, file.seal.sha256)
        target.write_bytes(content)
    return incoming


def test_it_answers_the_same_elsewhere_and_goes_on(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shard = filled(here)
    going = link_snapshot(write_snapshot(here, shard.view, HERE))
    assert len({file.path.split("/")[0] for file in going.files}) == 3
    expected = answers(shard)
    shutil.rmtree(here / going.manifest.sealed[0].segment.name)
    taken = take_in(carry(going, there), THERE, "epoch-1")
    assert taken.name.startswith("snapshot-")
    assert load_newest(there, HERE) is None
    loaded = load_newest(there, THERE)
    assert loaded is not None
    assert (loaded.applied_seq, loaded.image_count, answers(loaded)) == (72, 68, expected)
    for each in (loaded, shard):
        each.apply([Change("bild-ü-9", None), *changes(80, 90)], 83)
    assert answers(loaded) == answers(shard)


def test_what_is_going_out_outlives_what_the_shard_deletes_and_goes_with_the_next_start(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    going = link_snapshot(write_snapshot(tmp_path, shard.view, HERE))
    incoming = make_incoming(tmp_path)
    shard.apply([Change(f"bild-ü-{number}", None) for number in range(70)], 200)
    while build := shard.begin_build(BuildPolicy(seal_rows=50, least_rows=10)):
        shard.finish_build(build, seal(tmp_path, build, index_in_this_process))
    for _ in range(2):
        write_snapshot(tmp_path, shard.view, HERE)
    remove_segments(tmp_path, lambda: shard.segment_names)
    assert not any((tmp_path / part.segment.name).exists() for part in going.manifest.sealed)
    take_in(carry(going, tmp_path / "there"), HERE, "epoch-1")
    assert load_newest(tmp_path / "there", HERE) is not None
    clean(tmp_path)
    assert not going.folder.exists()
    assert not incoming.exists()


@pytest.mark.parametrize("stranger", [{"shard": 3}, {"collection_id": 8}, {"spaces": SPACES[:1]}])
def test_what_is_of_another_shard_is_refused(tmp_path: Path, stranger: dict[str, object]) -> None:
    going = link_snapshot(write_snapshot(tmp_path, filled(tmp_path).view, HERE))
    incoming = carry(going, tmp_path / "there")
    with pytest.raises(Damaged, match="another shard, epoch"):
        take_in(incoming, replace(HERE, **stranger), "epoch-1")
    assert list((tmp_path / "there").iterdir()) == [incoming]


def test_what_was_made_in_another_epoch_than_is_said_is_refused(tmp_path: Path) -> None:
    going = link_snapshot(write_snapshot(tmp_path, filled(tmp_path).view, HERE))
    with pytest.raises(Damaged, match="another shard, epoch"):
        take_in(carry(going, tmp_path / "there"), HERE, "epoch-0")


class Crashed(Exception):
    pass


def test_a_crash_at_any_step_of_taking_in_leaves_the_whole_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = link_snapshot(write_snapshot(tmp_path, filled(tmp_path).view, HERE))
    steps = 0

    def run_until(limit: int, folder: Path) -> bool:
        """Take in, crashing at the step of this number. Return whether it came to the end."""
        nonlocal steps
        steps = 0

        def counted(step: object) -> object:
            def run(*arguments: object) -> object:
                nonlocal steps
                if steps == limit:
                    raise Crashed
                steps += 1
                return step(*arguments)  # type: ignore[operator]

            return run

        incoming = carry(going, folder)
        with monkeypatch.context() as crashing:
            crashing.setattr(Path, "rename", counted(Path.rename))
            crashing.setattr(portable, "sync_folder", counted(portable.sync_folder))
            crashing.setattr("pixvec.index.durable.sync_folder", counted(portable.sync_folder))
            try:
                take_in(incoming, HERE, "epoch-1")
            except Crashed:
                return False
        return True

    limit, ended = 0, False
    while not ended:
        folder = tmp_path / f"there-{limit}"
        ended = run_until(limit, folder)
        found = load_newest(folder, HERE)
        assert ended <= (found is not None)
        clean(folder)
        remove_segments(folder, lambda found=found: found.segment_names if found else set())
        left = {path.name.split("-")[0] for path in folder.iterdir()}
        assert left == ({"segment", "snapshot"} if found else set())
        assert take_in(carry(going, folder), HERE, "epoch-1").exists()
        assert load_newest(folder, HERE) is not None
        limit += 1
    assert limit > 6


def test_a_snapshot_that_is_gone_leaves_no_half_linked_folder(tmp_path: Path) -> None:
    written = write_snapshot(tmp_path, filled(tmp_path).view, HERE)
    (segment,) = {part.segment.name for part in snapshot.read_manifest(written).sealed if part.segment.space == "shape"}
    shutil.rmtree(tmp_path / segment)
    with pytest.raises(FileNotFoundError):
        link_snapshot(written)
    (written / MANIFEST).unlink()
    with pytest.raises(Damaged):
        link_snapshot(written)
    assert not list(tmp_path.glob("outgoing-*"))
