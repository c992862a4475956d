"""A searcher without its process: real parts over a catalogue in memory, moved by hand."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pixvec.blobs.store import FileStore
from pixvec.catalogue.feed import FeedBatch, FeedPage, FeedReader
from pixvec.catalogue.interfaces import EmbeddedItem, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.topology import Assignment, ShardReport, TopologyStore
from pixvec.domain import Collection, Metric, OnExisting, ShardPosition, Space
from pixvec.errors import DatabaseUnavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.records import encode_record
from services.searcher.base_maker import BaseMaker
from services.searcher.bootstrap import Bootstrap
from services.searcher.catch_up import CatchUp
from services.searcher.data_folder import DataFolder
from services.searcher.follower import Follower
from services.searcher.freshness import Freshness
from services.searcher.held_shard import HeldShard
from services.searcher.recall import RecallProbe
from services.searcher.search import Searches
from services.searcher.search_queue import SearchQueue
from services.searcher.servicer import SearcherService
from services.searcher.shard_host import ShardHost
from services.searcher.snapshots import Snapshots

SPACE = Space("image", "hog-color", 4, Metric.COSINE, "ab" * 32)


class Context:
    """A call with this much time."""

    def __init__(self, seconds: float | None = 30.0) -> None:
        self._seconds = seconds

    def time_remaining(self) -> float | None:
        return self._seconds


@dataclass
class Database:
    """The stores a searcher reads, which can be made to fail, and to answer as after a restore."""

    topology: TopologyStore
    feed: FeedReader
    is_down: bool = False
    epoch: str | None = None
    lost_rows: int = 0
    floor: int = 0
    pages: list[int] = field(default_factory=list)
    polls: int = 0
    told: list[list[ShardReport]] = field(default_factory=list)

    def assignments(self, searcher_id: str) -> list[Assignment]:
        self._check()
        self.polls += 1
        return [self._changed(each) for each in self.topology.assignments(searcher_id)]

    def heartbeat(self, searcher_id: str, address: str, reports: Sequence[ShardReport], *, lease_s: float) -> None:
        self._check()
        self.told.append(list(reports))
        self.topology.heartbeat(searcher_id, address, reports, lease_s=lease_s)

    def read(self, collection_id: int, shard: int, after_seq: int, limit: int) -> FeedPage:
        self._check()
        self.pages.append(after_seq)
        page = self.feed.read(collection_id, shard, after_seq, limit)
        return replace(page, epoch=self.epoch or page.epoch, tombstone_floor=max(self.floor, page.tombstone_floor))

    def _changed(self, assignment: Assignment) -> Assignment:
        return replace(assignment, epoch=self.epoch or assignment.epoch, head_seq=assignment.head_seq - self.lost_rows)

    def _check(self) -> None:
        if self.is_down:
            raise DatabaseUnavailable("no database")


class Bench:
    """Make one inside a running loop, and close it."""

    def __init__(self, folder: Path, *, page_rows: int = 512, blobs: FileStore | None = None) -> None:
        self.catalogue = in_memory()
        self.blobs = blobs
        self.database = Database(self.catalogue.topology, self.catalogue.feed_reader)
        self.folder = folder
        self.page_rows = page_rows
        self.time = 0.0
        self.writes = 0
        self._open = ExitStack()
        self.catalogue.topology.heartbeat("searcher", "here", [], lease_s=1e6)
        self.start()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def stop(self) -> None:
        """Let everything that is under way end."""
        self._open.close()

    def start(self) -> None:
        """Start a searcher; what an earlier one wrote to the folder is there."""
        self.stop()
        threads = {name: BlockingCalls(name, 1) for name in ("search", "apply", "poll", "feed", "disk", "transfer")}
        for each in threads.values():
            self._open.callback(each.close)
        self.disk, self.applying = threads["disk"], threads["apply"]
        self.host = ShardHost()
        self.snapshots = Snapshots(self.host, DataFolder(self.folder), threads["disk"])
        over_there = (self.catalogue.bases, self.blobs, threads["feed"], threads["transfer"])
        bootstrap = Bootstrap(self.snapshots, *over_there, clock=lambda: self.time)
        catch_up = CatchUp(
            self.host,
            self.database,  # type: ignore[arg-type]  # as much of a FeedReader as is asked for
            self.snapshots,
            bootstrap,
            threads["feed"],
            threads["apply"],
            page_rows=self.page_rows,
        )
        self.follower = Follower(
            self.host,
            self.database,  # type: ignore[arg-type]  # as much of a TopologyStore as is asked for
            catch_up,
            self.snapshots,
            threads["poll"],
            searcher_id="searcher",
            address=lambda: "here",
            poll_s=3600,
            lease_s=40,
            clock=lambda: self.time,
        )
        searching = SearchQueue(1, 512)
        self._open.callback(searching.close)
        recall = RecallProbe(0.0)
        self._open.callback(recall.close)
        freshness = Freshness(self.host, self.follower)
        self.searches = Searches(self.host, freshness, searching, threads["search"], recall)
        self.base_maker = BaseMaker(self.host, freshness, self.snapshots, *over_there)
        self.service = SearcherService(
            "searcher", self.host, self.searches, self.follower, self.snapshots, threads["apply"], self.base_maker
        )

    def collection(self, name: str = "photos", shards: int = 1, spaces: Sequence[Space] = (SPACE,)) -> Collection:
        return self.catalogue.collections.create(name, spaces, shards)

    def index(self, collection: Collection, *numbers: int, record: bytes | None = None) -> list[FeedBatch]:
        """Take images in as a worker does; each points its own way."""
        jobs = self.catalogue.jobs
        job_id = jobs.create(collection.collection_id, OnExisting.REPLACE).job_id
        self.writes += 1
        content = f"{self.writes}"
        items = [NewItem(place, f"image-{number}", {}, content, 1) for place, number in enumerate(numbers)]
        jobs.add_items(job_id, items)
        leased = jobs.lease_next(job_id, "worker", 60)
        assert leased is not None
        embedded = [
            EmbeddedItem(item, record or packed(number), content, 1, "PNG", 1, 1)
            for item, number in zip(leased.items, numbers, strict=True)
        ]
        return list(self.catalogue.feed_writer.commit(leased, embedded, []).batches)

    def delete(self, collection: Collection, *numbers: int) -> tuple[FeedBatch, ...]:
        names = [f"image-{number}" for number in numbers]
        return self.catalogue.feed_writer.delete(collection.collection_id, names).batches

    async def ready(self, collection: Collection, shard: int = 0) -> HeldShard:
        """Poll until the shard is at its head, as of the last poll."""
        # What is caught up of an earlier life of the shard would keep this one waiting for the next poll.
        await self.caught_up()
        await self.follower.poll()
        held = self.held(collection, shard)
        while not held.ready or held.applied_seq < held.head_seq:
            await held.changed()
        return held

    async def caught_up(self) -> None:
        """Wait until no shard is being caught up."""
        while tasks := list(self.follower._catching_up.values()):
            await asyncio.wait(tasks)
            await asyncio.sleep(0)

    async def disk_done(self) -> None:
        """Wait until the disk has done all it was told: it has one thread."""
        await self.disk.run(int)

    def held(self, collection: Collection, shard: int = 0) -> HeldShard:
        held = self.host.get((collection.collection_id, shard))
        assert held is not None
        return held


def vector(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(SPACE.dim).astype(np.float32)


def packed(number: int, space: Space = SPACE) -> bytes:
    return encode_record({space.name: (space, vector(number))}, {})


def found(held: HeldShard) -> set[str]:
    (hits,) = held.index.search("image", vector(0)[None], 10_000)
    return set(hits.image_ids)


def names(*numbers: int) -> set[str]:
    return {f"image-{number}" for number in numbers}


def end_of(batch: FeedBatch) -> ShardPosition:
    return ShardPosition(batch.shard, batch.epoch, batch.entries[-1].seq)


async def dropped(held: HeldShard) -> None:
    while not held.dropped:
        await held.changed()


async def a_turn() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)
