"""What went silent is published again, once; what was abandoned is closed; an outage of one step stops no other."""

import pytest

from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import FittedKind, JobState, Metric, OnExisting, Space, TrainingSpec
from pixvec.errors import DatabaseUnavailable, JobNotFound, PixvecError, Unavailable
from pixvec.jobs.queue import MemoryChunkQueue
from workers.sweeper import Sweeper

SPACE = Space("image", "means", 3, Metric.COSINE, "0" * 64)


HOUR_S = 3600


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def with_job(clock: Clock, uri_prefix: str = ""):
    catalogue = in_memory(clock)
    collection = catalogue.collections.create("photos", [SPACE], 1)
    return catalogue, catalogue.jobs.create(collection.collection_id, OnExisting.REPLACE, uri_prefix=uri_prefix)


def silent_chunk(clock: Clock):
    catalogue, job = with_job(clock)
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


def test_a_chunk_that_a_worker_let_down_is_published_again_behind_any_backlog():
    clock, queue = Clock(), MemoryChunkQueue()
    catalogue, ref = silent_chunk(clock)
    others = [NewItem(n, str(n), {}, "ff" * 32, 10) for n in range(1, 4)]
    waiting = [ChunkRef(ref.job_id, catalogue.jobs.add_items(ref.job_id, [each]).chunk) for each in others]
    queue.publish(waiting)
    catalogue.jobs.lease_chunk(ref, "a worker that dies", 60)
    sweeper = Sweeper(catalogue, queue, silence_s=10, replicas=1)
    clock.now += 59
    sweeper.sweep()
    assert queue.depth() == 3
    clock.now += 2
    sweeper.sweep()
    sweeper.sweep()
    assert [queue.take_chunk() for _ in range(5)] == [*waiting, ref, None]


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


def test_a_step_that_the_database_refuses_leaves_the_other_steps_at_work(monkeypatch):
    def refuse(*_, **__):
        raise PixvecError("the database refused a statement: a row is still referred to")

    clock, queue = Clock(), MemoryChunkQueue()
    catalogue, ref = silent_chunk(clock)
    monkeypatch.setattr(catalogue.topology, "rebalance", refuse)
    clock.now += 11
    Sweeper(catalogue, queue, silence_s=10, replicas=1).sweep()
    assert queue.take_chunk() == ref


def test_a_planner_that_went_silent_is_asked_again_once_in_a_while():
    clock, queue = Clock(), MemoryChunkQueue()
    catalogue, job = with_job(clock, uri_prefix="file:///pictures")
    sweeper = Sweeper(catalogue, queue, silence_s=10, replicas=1)
    for _ in range(3):
        clock.now += 11
        for _ in range(5):
            sweeper.sweep()
    assert [queue.take_plan() for _ in range(4)] == [job.job_id, job.job_id, job.job_id, None]


def test_a_training_that_nobody_works_on_is_published_again_once_in_a_while():
    clock, queue = Clock(), MemoryChunkQueue()
    catalogue, job = with_job(clock)
    spec = TrainingSpec("words", FittedKind.SIFT_VLAD, 64, 100)
    training = catalogue.trainings.create(job.collection_id, spec)
    sweeper = Sweeper(catalogue, queue, silence_s=10, replicas=1)
    sweeper.sweep()
    assert queue.take_training() is None
    clock.now += 11
    for _ in range(3):
        sweeper.sweep()
    assert [queue.take_training() for _ in range(2)] == [training.job_id, None]
    catalogue.trainings.lease(training.job_id, "a worker that dies", 60)
    clock.now += 59
    sweeper.sweep()
    assert queue.take_training() is None
    clock.now += 2
    sweeper.sweep()
    assert queue.take_training() == training.job_id


def sweeping(catalogue, clock: Clock) -> Sweeper:
    return Sweeper(
        catalogue,
        MemoryChunkQueue(),
        silence_s=10,
        replicas=1,
        abandoned_s=HOUR_S,
        keep_jobs_s=24 * HOUR_S,
        clock=clock,
    )


def sweep_for(sweeper: Sweeper, clock: Clock, seconds: int) -> None:
    """Let time pass in rounds, as a sweeper spends it."""
    for _ in range(seconds // 20):
        clock.now += 20
        sweeper.sweep()
    clock.now += seconds % 20
    sweeper.sweep()


def down(*_, **__):
    raise DatabaseUnavailable("no database")


def test_a_job_whose_caller_stays_away_is_closed_and_in_the_end_forgotten():
    clock = Clock()
    catalogue, job = with_job(clock)
    sweeper = sweeping(catalogue, clock)
    sweep_for(sweeper, clock, HOUR_S - 1)
    assert catalogue.jobs.get(job.job_id).state is JobState.RUNNING
    sweep_for(sweeper, clock, 61)
    assert catalogue.jobs.get(job.job_id).state is JobState.COMPLETED
    clock.now += 24 * HOUR_S + 1
    sweeper.sweep()
    with pytest.raises(JobNotFound):
        catalogue.jobs.get(job.job_id)


def lose_the_database(monkeypatch, catalogue, sweeper: Sweeper, clock: Clock) -> None:
    with monkeypatch.context() as outage:
        outage.setattr(catalogue.topology, "rebalance", down)
        sweep_for(sweeper, clock, HOUR_S + 1)


def suspend_the_machine(monkeypatch, catalogue, sweeper: Sweeper, clock: Clock) -> None:
    clock.now += HOUR_S + 1


INTERRUPTIONS = pytest.mark.parametrize("interrupt", [lose_the_database, suspend_the_machine])


@INTERRUPTIONS
def test_after_an_interruption_gateways_may_speak_for_their_streams_first(monkeypatch, interrupt):
    clock = Clock()
    catalogue, job = with_job(clock)
    sweeper = sweeping(catalogue, clock)
    sweep_for(sweeper, clock, 600)
    interrupt(monkeypatch, catalogue, sweeper, clock)
    sweep_for(sweeper, clock, 60)
    assert catalogue.jobs.get(job.job_id).state is JobState.RUNNING
    catalogue.jobs.touch([job.job_id])
    sweep_for(sweeper, clock, 600)
    assert catalogue.jobs.get(job.job_id).state is JobState.RUNNING
    sweep_for(sweeper, clock, HOUR_S)
    assert catalogue.jobs.get(job.job_id).state is JobState.COMPLETED


def holders(catalogue) -> dict[int, set[str]]:
    """Return who is to hold which shard, by what each searcher is told."""
    found: dict[int, set[str]] = {}
    for searcher_id in ("a", "b"):
        for assignment in catalogue.topology.assignments(searcher_id):
            found.setdefault(assignment.shard, set()).add(searcher_id)
    return found


def with_two_searchers(clock: Clock):
    catalogue = in_memory(clock)
    for searcher_id in ("a", "b"):
        catalogue.topology.heartbeat(searcher_id, searcher_id, [], lease_s=10)
    catalogue.collections.create("photos", [SPACE], 16)
    return catalogue


@INTERRUPTIONS
def test_after_an_interruption_every_searcher_finds_its_shards_again(monkeypatch, interrupt):
    clock = Clock()
    catalogue = with_two_searchers(clock)
    sweeper, before = sweeping(catalogue, clock), holders(catalogue)
    interrupt(monkeypatch, catalogue, sweeper, clock)
    for _ in range(20):
        catalogue.topology.heartbeat("a", "a", [], lease_s=10)
        sweep_for(sweeper, clock, 2)
    assert holders(catalogue) == before
    catalogue.topology.heartbeat("b", "b", [], lease_s=3600)
    catalogue.topology.heartbeat("a", "a", [], lease_s=3600)
    sweep_for(sweeper, clock, 120)
    assert holders(catalogue) == before


def test_a_searcher_that_stays_away_is_replaced():
    clock = Clock()
    catalogue = with_two_searchers(clock)
    sweeper = sweeping(catalogue, clock)
    catalogue.topology.heartbeat("a", "a", [], lease_s=3600)
    sweep_for(sweeper, clock, 60)
    assert len(catalogue.topology.assignments("b")) > 0
    sweep_for(sweeper, clock, 20)
    assert catalogue.topology.assignments("b") == []
    assert len(catalogue.topology.assignments("a")) == 16
