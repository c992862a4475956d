"""Any sequence of calls: memory and Postgres answer alike, and a follower of the feed holds what can be found."""

import random
from typing import TYPE_CHECKING, Any

import pytest

from pixvec.catalogue.interfaces import Catalogue, ChunkRef, FailedItem, LeasedChunk
from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.postgres import connect
from pixvec.domain import OnExisting
from tests.contract.catalogues import BROKEN, REGION_SPACE, SPACE, embedded, item, region

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [f"image-{n}" for n in range(6)]


class Player:
    """Plays one seeded game on a catalogue and writes down what can be seen of it."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self.catalogue = catalogue
        self.random = random.Random(seed)
        self.photos = catalogue.collections.create("photos", [SPACE, REGION_SPACE], 2)
        self.jobs = [catalogue.jobs.create(self.photos.collection_id, each).job_id for each in OnExisting]
        self.ordinal = 0
        self.leased: list[LeasedChunk] = []
        self.refs: list[ChunkRef] = []
        self.seen: list[Any] = []
        self.followed: dict[str, bytes] = {}
        self.at = [0, 0]

    def play(self, turns: int) -> list[Any]:
        moves: list[Callable[[], None]] = [self.add, self.add, self.lease, self.lease, self.commit, self.commit]
        moves = [*moves, *moves, self.delete, self.release, self.put_off, self.look, self.follow]
        for _ in range(turns):
            self.random.choice(moves)()
        self.look()
        self.follow()
        return self.seen

    def add(self) -> None:
        number = self.random.choice([0, 0, 0, 1, 2])
        items = []
        for _ in range(self.random.randint(1, 4)):
            self.ordinal += self.random.choice([0, 1, 1, 1])
            content = self.random.choice("ab")
            items.append(item(self.ordinal, self.random.choice(NAMES), content=content))
        added = self.catalogue.jobs.add_items(self.jobs[number], items)
        if added.chunk is not None:
            self.refs.append(ChunkRef(self.jobs[number], added.chunk))
        self.seen.append((number, added.chunk, [self.plain(status) for status in added.statuses]))

    def lease(self) -> None:
        if self.refs:
            leased = self.catalogue.jobs.lease_chunk(self.random.choice(self.refs[-6:]), "w", 3600)
            if leased is not None:
                self.leased.append(leased)
            self.seen.append(leased and [(each.image_id, each.attempt) for each in leased.items])

    def release(self) -> None:
        if self.leased:
            self.catalogue.jobs.release(self.random.choice(self.leased).ref, "w")

    def put_off(self) -> None:
        if self.leased:
            self.catalogue.jobs.put_off(self.random.choice(self.leased).ref, "w", self.random.choice([0.0, 3600.0]))

    def commit(self) -> None:
        if self.leased:
            leased = self.random.choice(self.leased[-6:])
            fates = [self.random.choice(["embedded", "embedded", "failed", "left"]) for _ in leased.items]
            good = [
                embedded(each, [region(ordinal) for ordinal in range(self.random.choice([0, 1, 3]))])
                for each, fate in zip(leased.items, fates, strict=True)
                if fate == "embedded"
            ]
            bad = [FailedItem(each, BROKEN) for each, fate in zip(leased.items, fates, strict=True) if fate == "failed"]
            batches = self.catalogue.feed_writer.commit(leased, good, bad).batches
            self.seen.append([(batch.shard, batch.prev_seq, batch.entries) for batch in batches])

    def delete(self) -> None:
        done = self.catalogue.feed_writer.delete(self.photos.collection_id, self.random.sample(NAMES, 2))
        batches = [(batch.shard, batch.prev_seq, sorted(e.image_id for e in batch.entries)) for batch in done.batches]
        self.seen.append((done.deleted, done.not_found, batches))

    def follow(self) -> None:
        for shard in range(2):
            page = self.catalogue.feed_reader.read(self.photos.collection_id, shard, self.at[shard], 1000)
            for entry in page.entries:
                self.followed.pop(entry.image_id, None)
                if not entry.deleted:
                    self.followed[entry.image_id] = entry.record
            self.at[shard] = page.through_seq
        found = {name for name, state, *_ in self.images() if state == "indexed"}
        assert set(self.followed) == found
        assert self.catalogue.collections.count_images(self.photos.collection_id) == len(found)
        self.seen.append((dict(sorted(self.followed.items())), list(self.at)))

    def look(self) -> None:
        self.seen.append(self.images())
        for job_id in self.jobs:
            job = self.catalogue.jobs.get(job_id)
            self.seen.append((job.state, job.total, job.queued, job.indexed, job.failed))
            self.seen.append([self.plain(status) for status in self.catalogue.jobs.statuses(job_id)])
        self.seen.append(self.catalogue.jobs.count_open_items())

    def images(self) -> list[tuple[Any, ...]]:
        there = self.catalogue.images.attributes(self.photos.collection_id, NAMES)
        images = [self.catalogue.images.get(self.photos.collection_id, name) for name in sorted(there)]
        regions = {name: self.catalogue.images.regions(self.photos.collection_id, name) for name in NAMES}
        assert {name for name in NAMES if regions[name]} <= {
            each.image_id for each in images if each.state == "indexed"
        }
        return [(each.image_id, each.state, each.content_hash, each.error, regions[each.image_id]) for each in images]

    def plain(self, status: Any) -> tuple[Any, ...]:
        position = status.position and (status.position.shard, status.position.seq)
        return (status.ordinal, status.image_id, status.stage, status.error, position, status.unchanged)


@pytest.mark.parametrize("seed", range(6))
def test_memory_and_postgres_answer_alike(database_url: str, seed: int) -> None:
    real = connect(database_url)
    expected = Player(real, seed).play(250)
    real.close()
    assert Player(in_memory(), seed).play(250) == expected
