"""A process killed at any instant of its writing leaves what was there before, or what it was writing: no mixture."""

import subprocess
import sys
from pathlib import Path

import pytest

from pixvec.index.interfaces import ShardHits
from pixvec.index.manifest import MANIFEST, read_manifest
from pixvec.index.shard import Shard
from pixvec.index.snapshot import clean, load_newest, remove_segments, write_snapshot
from tests.integration.killing import IDENTITY, NOT_TRACED, SPACES, changes
from tests.unit.index.segments import EXACT, clustered, same

LIMIT_S = 240
QUERIES = clustered(4, 8, seed=9)


def answers(shard: Shard) -> list[ShardHits]:
    found = shard.search("image", QUERIES, 10, options=EXACT)
    return found + shard.search("shape", QUERIES[:, :3].copy(), 300, options=EXACT)


def fed(through: int) -> Shard:
    """A shard that has read the feed up to there, and never saw a disk."""
    shard = Shard(SPACES)
    shard.apply(changes(0, through), through)
    return shard


def start(folder: Path) -> Shard:
    """Start as a searcher does, and see that nothing is left over."""
    clean(folder)
    remove_segments(folder, set)
    shard = load_newest(folder, IDENTITY)
    assert shard is not None
    snapshots = sorted(folder.glob("snapshot-*"))
    assert 2 <= len(snapshots) <= 3
    assert all({path.name for path in each.iterdir()} >= {MANIFEST} for each in snapshots)
    named = {part.segment.name for each in snapshots for part in read_manifest(each).sealed}
    assert {path.name for path in folder.iterdir()} == named | {path.name for path in snapshots}
    return shard


@pytest.mark.parametrize("work", ["snapshot", "compact"])
def test_killed_at_every_system_call(work: str, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.integration.killing", work, str(tmp_path)]
    done = subprocess.run(program, timeout=LIMIT_S, stdout=subprocess.DEVNULL)
    if done.returncode == NOT_TRACED:
        pytest.skip("this system lets no process be traced")
    assert done.returncode == 0
    *killed, before = sorted(tmp_path.iterdir())
    expected = {seq: answers(fed(seq)) for seq in (140, 200)}
    assert start(before).applied_seq == 140
    begun = []
    for folder in killed:
        shard = start(folder)
        begun.append(shard.applied_seq)
        assert same(answers(shard), expected[shard.applied_seq]), folder.name
        shard.apply(changes(shard.applied_seq, 200), 200)
        assert same(answers(shard), expected[200]), folder.name
        write_snapshot(folder, shard.view, IDENTITY)
        again = load_newest(folder, IDENTITY)
        assert again is not None
        assert same(answers(again), expected[200]), folder.name
    # First what was there, from some call on what was written, and never back.
    assert begun == sorted(begun)
    assert set(begun) == {140, 200}
    assert len(begun) > 40
