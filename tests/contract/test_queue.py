"""What publishers and workers rely on, of messages in memory and in a real Redis."""

import base64
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.errors import Unavailable
from pixvec.jobs.celery_app import INGEST_QUEUE, INGEST_TASK, PLAN_QUEUE, PLAN_TASK, TRAIN_QUEUE, TRAIN_TASK
from pixvec.jobs.queue import CeleryChunkQueue, ChunkQueue, MemoryChunkQueue
from tests.redis_server import RedisServer


@dataclass
class Bench:
    """A queue, and a look at its messages in the order in which a worker would take them."""

    queue: ChunkQueue
    chunks: Callable[[], list[tuple[str, int]]]
    plans: Callable[[], list[str]]
    trainings: Callable[[], list[str]]
    wipe: Callable[[], object]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="pv-"))
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(params=["memory", "redis"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        memory = MemoryChunkQueue()
        plans = lambda: list(iter(memory.take_plan, None))  # noqa: E731
        trainings = lambda: list(iter(memory.take_training, None))  # noqa: E731
        yield Bench(memory, lambda: _memory_chunks(memory), plans, trainings, memory.wipe)
        return
    server: RedisServer = request.getfixturevalue("server")
    client = server.client()
    client.flushall()
    queue = CeleryChunkQueue(server.url)
    chunks = lambda: [(job_id, chunk) for job_id, chunk in _arguments(client, INGEST_QUEUE, INGEST_TASK)]  # noqa: E731
    plans = lambda: [job_id for (job_id,) in _arguments(client, PLAN_QUEUE, PLAN_TASK)]  # noqa: E731
    trainings = lambda: [job_id for (job_id,) in _arguments(client, TRAIN_QUEUE, TRAIN_TASK)]  # noqa: E731
    yield Bench(queue, chunks, plans, trainings, client.flushall)
    queue.close()
    client.close()


def _memory_chunks(queue: MemoryChunkQueue) -> list[tuple[str, int]]:
    return [(ref.job_id, ref.chunk) for ref in iter(queue.take_chunk, None)]


def _arguments(client: redis.Redis, queue: str, task: str) -> list[list[object]]:
    messages = [json.loads(raw) for raw in reversed(client.lrange(queue, 0, -1))]
    assert {message["headers"]["task"] for message in messages} <= {task}
    return [json.loads(base64.b64decode(message["body"]))[0] for message in messages]


def test_chunks_come_in_the_order_of_publication(bench: Bench) -> None:
    bench.queue.publish([ChunkRef("a", 0), ChunkRef("a", 1)])
    bench.queue.publish([ChunkRef("b", 7)])
    assert bench.chunks() == [("a", 0), ("a", 1), ("b", 7)]


def test_plans_and_trainings_do_not_wait_behind_chunks(bench: Bench) -> None:
    bench.queue.publish([ChunkRef("a", number) for number in range(100)])
    bench.queue.publish_plan("b")
    bench.queue.publish_training("c")
    assert bench.plans() == ["b"]
    assert bench.trainings() == ["c"]


def test_depth_counts_every_message(bench: Bench) -> None:
    assert bench.queue.depth() == 0
    bench.queue.publish([ChunkRef("a", 0), ChunkRef("a", 1)])
    bench.queue.publish_plan("b")
    bench.queue.publish_training("c")
    assert bench.queue.depth() == 4


def test_publishing_nothing_sends_nothing(bench: Bench) -> None:
    bench.queue.publish([])
    assert bench.queue.depth() == 0


def test_a_wiped_broker_takes_messages_again(bench: Bench) -> None:
    bench.queue.publish([ChunkRef("a", 0)])
    bench.wipe()
    assert bench.queue.depth() == 0
    bench.queue.publish([ChunkRef("a", 1)])
    assert bench.chunks() == [("a", 1)]


def test_a_broker_that_is_gone_is_reported_and_used_again_once_it_is_back(server: RedisServer) -> None:
    queue = CeleryChunkQueue(server.url)
    queue.publish([ChunkRef("a", 0)])
    server.stop()
    for call in (lambda: queue.publish([ChunkRef("a", 1)]), lambda: queue.publish_plan("a"), queue.depth):
        with pytest.raises(Unavailable, match="check that Redis runs"):
            call()
    server.start()
    queue.publish([ChunkRef("a", 2), ChunkRef("a", 3)])
    assert queue.depth() == 2
    queue.close()


def test_a_restarted_broker_is_not_noticed(server: RedisServer) -> None:
    queue = CeleryChunkQueue(server.url)
    queue.publish([ChunkRef("a", 0)])
    server.stop()
    server.start()
    queue.publish([ChunkRef("a", 1)])
    assert queue.depth() == 1
    queue.close()
