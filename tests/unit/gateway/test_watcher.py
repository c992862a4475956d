"""How streams learn what became of their chunks: many of them at little cost, none at the cost of another."""

import pytest

from pixvec.catalogue.interfaces import ChunkRef, EmbeddedItem, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import Metric, OnExisting, Space
from pixvec.errors import DatabaseUnavailable, JobNotFound, Overloaded, PixvecError
from pixvec.rpc.blocking import BlockingCalls
from services.gateway.watcher import OutcomeWatcher
from tests.in_loop import in_loop

SPACE = Space("image", "fake", 8, Metric.COSINE, "ab" * 32)


class Stream:
    """A stream with one chunk of one item under way."""

    def __init__(self, ref):
        self.job_id = ref.job_id
        self.open_chunks = {ref.chunk}
        self.ended = []
        self.error = None

    def progressed(self, progress):
        return [each.chunk for each in progress if each.ended]

    def settled(self, chunks, statuses):
        self.open_chunks.difference_update(chunks)
        self.ended += [status.image_id for status in statuses]

    def fail(self, error):
        self.error = error


class Watch:
    """A watcher over streams, each of a job of its own."""

    def __init__(self, streams, *, outage_s=30.0, max_waiting=8):
        self.catalogue = in_memory()
        self.jobs = self.catalogue.jobs
        self.collection = self.catalogue.collections.create("photos", [SPACE], 1)
        self.watcher = OutcomeWatcher(
            self.jobs, BlockingCalls("database", 2, max_waiting=max_waiting), outage_s=outage_s
        )
        self.refs = [self._begin(number) for number in range(streams)]
        self.streams = [Stream(ref) for ref in self.refs]
        for stream in self.streams:
            self.watcher.follow(stream)

    def _begin(self, number):
        job_id = self.jobs.create(self.collection.collection_id, OnExisting.REPLACE).job_id
        added = self.jobs.add_items(job_id, [NewItem(0, f"image-{number}", {}, content_hash="h")])
        return ChunkRef(job_id, added.chunk)

    def end(self, ref):
        chunk = self.jobs.lease_chunk(ref, "worker", 60.0)
        embedded = [EmbeddedItem(item, b"", "h", 1, "JPEG", 4, 3) for item in chunk.items]
        self.catalogue.feed_writer.commit(chunk, embedded, [])


@in_loop
async def test_any_number_of_busy_streams_is_followed_by_one_query(monkeypatch):
    watch = Watch(300)
    asked = []
    progress = watch.jobs.progress
    monkeypatch.setattr(watch.jobs, "progress", lambda *named: asked.append(named) or progress(*named))
    for ref in watch.refs:
        watch.end(ref)
    assert await watch.watcher.poll()
    assert len(asked) == 1
    assert [stream.ended for stream in watch.streams] == [[f"image-{number}"] for number in range(300)]
    assert not await watch.watcher.poll()


@in_loop
async def test_two_streams_of_one_job_are_both_told():
    watch = Watch(1)
    other = Stream(watch.refs[0])
    watch.watcher.follow(other)
    watch.end(watch.refs[0])
    assert await watch.watcher.poll()
    assert watch.streams[0].ended == other.ended == ["image-0"]


@in_loop
async def test_a_gateway_that_is_busy_elsewhere_is_no_outage(monkeypatch):
    watch = Watch(1, outage_s=-1)
    with monkeypatch.context() as busy:

        def overloaded(*_):
            raise Overloaded("too many calls")

        busy.setattr(watch.jobs, "progress", overloaded)
        assert not await watch.watcher.poll()
    watch.end(watch.refs[0])
    with monkeypatch.context() as busy:
        busy.setattr(watch.jobs, "statuses", overloaded)
        assert not await watch.watcher.poll()
    assert watch.streams[0].error is None
    assert await watch.watcher.poll()
    assert watch.streams[0].ended == ["image-0"]


@pytest.mark.parametrize("method", ["progress", "statuses"])
@in_loop
async def test_a_database_that_stays_away_ends_the_streams(monkeypatch, method):
    def down(*_):
        raise DatabaseUnavailable("down")

    watch = Watch(2, outage_s=-1)
    watch.end(watch.refs[0])
    monkeypatch.setattr(watch.jobs, method, down)
    assert not await watch.watcher.poll()
    assert [type(stream.error) for stream in watch.streams] == [DatabaseUnavailable] * 2


@in_loop
async def test_outcomes_that_cannot_be_read_end_the_streams_and_not_the_gateway(monkeypatch):
    def refuse(*_):
        raise PixvecError("the database refused a statement")

    watch = Watch(2)
    monkeypatch.setattr(watch.jobs, "progress", refuse)
    assert not await watch.watcher.poll()
    assert [type(stream.error) for stream in watch.streams] == [PixvecError] * 2


@in_loop
async def test_a_job_that_is_gone_with_its_collection_ends_its_stream_alone():
    watch = Watch(1)
    elsewhere = watch.catalogue.collections.create("elsewhere", [SPACE], 1)
    watch.collection = elsewhere
    kept = Stream(watch._begin(1))
    watch.watcher.follow(kept)
    watch.catalogue.collections.delete("photos")
    while watch.catalogue.collections.purge(100):
        pass
    await watch.watcher.poll()
    assert isinstance(watch.streams[0].error, JobNotFound)
    assert kept.error is None
