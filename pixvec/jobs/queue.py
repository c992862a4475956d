"""Telling workers that there is work. A message is a job's id and a chunk's number; losing one loses nothing."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from kombu.exceptions import BatchPublishError, KombuError
from redis.exceptions import RedisError

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.errors import Unavailable
from pixvec.jobs.celery_app import INGEST_TASK, PLAN_TASK, QUEUES, TRAIN_TASK, celery_app

# Items of one chunk at most: what one message stands for, and what a worker leases at once.
ITEMS_PER_CHUNK = 64
_POOL_WAIT_S = 5.0


class ChunkQueue(Protocol):
    """Sends messages. Thread-safe. Every method raises Unavailable when the broker cannot be reached."""

    def publish(self, refs: Sequence[ChunkRef]) -> None:
        """Say that these chunks await work, in this order. To be called after the commit that made them."""
        ...

    def publish_plan(self, job_id: str) -> None:
        """Say that a job awaits planning."""
        ...

    def publish_training(self, job_id: str) -> None:
        """Say that a training awaits a worker."""
        ...

    def depth(self) -> int:
        """Return how many messages wait."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class MemoryChunkQueue:
    """Messages in this process, for tests and for a system in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chunks: deque[ChunkRef] = deque()
        self._plans: deque[str] = deque()
        self._trainings: deque[str] = deque()

    def publish(self, refs: Sequence[ChunkRef]) -> None:
        """See ChunkQueue."""
        with self._lock:
            self._chunks.extend(refs)

    def publish_plan(self, job_id: str) -> None:
        """See ChunkQueue."""
        with self._lock:
            self._plans.append(job_id)

    def publish_training(self, job_id: str) -> None:
        """See ChunkQueue."""
        with self._lock:
            self._trainings.append(job_id)

    def depth(self) -> int:
        """See ChunkQueue."""
        with self._lock:
            return len(self._chunks) + len(self._plans) + len(self._trainings)

    def take_chunk(self) -> ChunkRef | None:
        """Take the oldest message about a chunk."""
        with self._lock:
            return self._chunks.popleft() if self._chunks else None

    def take_plan(self) -> str | None:
        """Take the oldest message about a plan: a job's id."""
        with self._lock:
            return self._plans.popleft() if self._plans else None

    def take_training(self) -> str | None:
        """Take the oldest message about a training: a job's id."""
        with self._lock:
            return self._trainings.popleft() if self._trainings else None

    def wipe(self) -> None:
        """Lose every message, as a broker may."""
        with self._lock:
            self._chunks.clear()
            self._plans.clear()
            self._trainings.clear()

    def close(self) -> None:
        """Nothing is held."""


class CeleryChunkQueue:
    """Celery messages over Redis, for the tasks of `workers`."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app(broker_url)

    def publish(self, refs: Sequence[ChunkRef]) -> None:
        """See ChunkQueue. Several messages travel in one round trip; one may be sent twice, which does no harm."""
        if not refs:
            return
        with _translated():
            try:
                self._send(refs)
            except BatchPublishError:
                # The broker was restarted since the last message: a new connection will do.
                self._send(refs)

    def publish_plan(self, job_id: str) -> None:
        """See ChunkQueue."""
        with _translated():
            self._app.send_task(PLAN_TASK, args=(job_id,))

    def publish_training(self, job_id: str) -> None:
        """See ChunkQueue."""
        with _translated():
            self._app.send_task(TRAIN_TASK, args=(job_id,))

    def depth(self) -> int:
        """See ChunkQueue."""
        with _translated(), self._app.pool.acquire(block=True, timeout=_POOL_WAIT_S) as connection:
            channel = connection.default_channel
            return sum(int(channel.client.llen(queue)) for queue in QUEUES)

    def _send(self, refs: Sequence[ChunkRef]) -> None:
        with self._app.producer_pool.acquire(block=True, timeout=_POOL_WAIT_S) as producer, producer.batch():
            for ref in refs:
                self._app.send_task(INGEST_TASK, args=(ref.job_id, ref.chunk), producer=producer)

    def close(self) -> None:
        """Close the connections. The queue may be used again, and opens new ones."""
        self._app.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (KombuError, RedisError, OSError) as error:
        raise Unavailable(f"the broker cannot be reached ({error}); check that Redis runs") from error
