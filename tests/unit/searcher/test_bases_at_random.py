"""Whatever is backed up, truncated, pruned, lost and restored in whatever order: what is found is what was written."""

import random
import shutil
from pathlib import Path

import pytest

from pixvec.backups.checking import check_backup
from pixvec.backups.removing import remove_backup
from pixvec.blobs.store import MemoryBlobStore
from pixvec.errors import FailedPrecondition
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process, seal
from tests.in_loop import in_loop
from tests.unit.searcher.searching import Bench, found, names

POLICY = BuildPolicy(seal_rows=8, least_rows=4)


class Game:
    """One collection, one searcher, and the truth beside them."""

    def __init__(self, bench: Bench, blobs: MemoryBlobStore, seed: int) -> None:
        self.bench = bench
        self.blobs = blobs
        self.random = random.Random(seed)
        self.photos = bench.collection()
        self.key = (self.photos.collection_id, 0)
        self.bases = bench.catalogue.bases
        self.feed = bench.catalogue.feed_reader
        self.truth: set[int] = set()
        self.played: dict[str, int] = {}

    async def play(self, turns: int) -> None:
        moves = [self.write, self.write, self.delete, self.delete, self.build, self.check, self.report, self.base]
        moves += [self.base, self.truncate, self.prune, self.retire, self.restart, self.lose_disk, self.restore]
        for _ in range(turns):
            move = self.random.choice(moves)
            self.played[move.__name__] = self.played.get(move.__name__, 0) + 1
            await move()
        await self.check()

    async def write(self) -> None:
        numbers = self.random.sample(range(30), self.random.randint(1, 6))
        self.bench.index(self.photos, *numbers)
        self.truth |= set(numbers)

    async def delete(self) -> None:
        gone = self.random.sample(sorted(self.truth), min(len(self.truth), self.random.randint(1, 4)))
        self.bench.delete(self.photos, *gone)
        self.truth -= set(gone)

    async def build(self) -> None:
        held = await self.bench.ready(self.photos)
        build = held.index.begin_build(POLICY)
        if build is not None:
            folder = self.bench.folder / f"{self.key[0]}-0"
            held.index.finish_build(build, seal(folder, build, index_in_this_process))

    async def check(self) -> None:
        held = await self.bench.ready(self.photos)
        assert found(held) == names(*self.truth)
        assert held.index.image_count == len(self.truth)

    async def report(self) -> None:
        await self.bench.ready(self.photos)
        await self.bench.snapshots.write_changed()
        await self.bench.follower.poll()

    async def base(self) -> None:
        await self.bench.ready(self.photos)
        check_backup(self.blobs, (await self.bench.base_maker.make(self.key)).base)

    async def truncate(self) -> None:
        if self.random.random() < 0.7:
            await self.report()
        for each in self.bases.truncatable():
            assert self.bases.truncate(each.base_id)

    async def prune(self) -> None:
        self.feed.prune_tombstones(self.random.randint(1, 5))
        self.feed.prune_truncated(self.random.randint(1, 5))

    async def retire(self) -> None:
        self.bases.retire(self.random.choice([1, 2]), 3600)
        for each in self.bases.retired(0):
            others = [base for base in self.bases.of_shard(*self.key) if base.base_id != each.base_id]
            remove_backup(self.blobs, each, others)
            self.bases.remove(each.base_id)

    async def restart(self) -> None:
        self.bench.start()

    async def lose_disk(self) -> None:
        self.bench.stop()
        shutil.rmtree(self.bench.folder)
        self.bench.folder.mkdir()
        self.bench.start()

    async def restore(self) -> None:
        kept = self.bases.of_collection(self.photos.collection_id)
        chosen = {0: self.random.choice(kept).base_id} if kept and self.random.random() < 0.7 else {}
        try:
            self.bases.restore(self.photos.collection_id, chosen)
        except FailedPrecondition:
            # Of a truncated feed without a base, or a base that deletions have been pruned above.
            return


@pytest.mark.parametrize("seed", range(12))
@in_loop
async def test_whatever_happens_what_is_found_is_what_was_written(tmp_path: Path, seed: int) -> None:
    blobs = MemoryBlobStore()
    with Bench(tmp_path, blobs=blobs, page_rows=5) as bench:
        game = Game(bench, blobs, seed)
        await game.play(100)
    assert {"base", "truncate", "lose_disk", "restore"} <= set(game.played)
