"""What went silent is published again, once; an outage of one step stops no other."""

from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import Metric, OnExisting, Space
from pixvec.errors import Unavailable
from pixvec.jobs.queue import MemoryChunkQueue
from workers.sweeper import Sweeper

SPACE = Space("image", "means", 3, Metric.COSINE, "0" * 64)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def silent_chunk(clock: Clock):
    catalogue = in_memory(clock)
    collection = catalogue.collections.create("photos", [SPACE], 1)
    job = catalogue.jobs.create(collection.collection_id, OnExisting.REPLACE)
    added = catalogue.jobs.add_items(job.job_id, [NewItem(0, "a", {}, "ff" * 32, 10)])
    return catalogue, ChunkRef(job.job_id, added.chunk)


def test_a_silent_chunk_is_published_again_and_then_given_time():
    clock, queue = Clock(), MemoryChunkQueue()
    catalogue, ref = silent_chunk(clock)
    sweeper = Sweeper(catalogue, queue, silence_s=10, replicas=1)
    sweeper.sweep()
    assert queue.take_chunk() is None
    clock.now += 11
    sweeper.sweep()
    sweeper.sweep()
    assert (queue.take_chunk(), queue.take_chunk()) == (ref, None)


def test_messages_that_still_wait_are_not_doubled():
    clock, queue = Clock(), MemoryChunkQueue()
    catalogue, ref = silent_chunk(clock)
    queue.publish([ref])
    clock.now += 11
    Sweeper(catalogue, queue, silence_s=10, replicas=1).sweep()
    assert queue.depth() == 1


def test_an_outage_of_the_broker_leaves_the_other_steps_at_work():
    class Down(MemoryChunkQueue):
        def depth(self) -> int:
            raise Unavailable("no broker")

    clock = Clock()
    catalogue, _ = silent_chunk(clock)
    catalogue.topology.heartbeat("searcher-0", "here", [], lease_s=60)
    clock.now += 11
    Sweeper(catalogue, Down(), silence_s=10, replicas=1).sweep()
    assert catalogue.topology.routing().replicas
