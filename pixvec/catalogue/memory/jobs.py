"""Jobs, their chunks and their items: the durable queue, as long as the process lives."""

import dataclasses
import uuid
from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping, Sequence

from pixvec.catalogue.acceptance import closed_error
from pixvec.catalogue.interfaces import AddedItems, ChunkProgress, ItemStatus, NewItem
from pixvec.catalogue.memory.acceptance import accept
from pixvec.catalogue.memory.ending import ended_at, has_ended
from pixvec.catalogue.memory.state import Chunk, Item, State, StoredJob, StoredTraining, locked
from pixvec.catalogue.memory.upkeep import MemoryUpkeep
from pixvec.catalogue.trainings import key_of_another_kind
from pixvec.domain import (
    IngestStage,
    ItemError,
    Job,
    JobKind,
    JobState,
    OnDuplicate,
    OnExisting,
    SeqToken,
    ShardPosition,
)


class MemoryJobStore(MemoryUpkeep):
    """JobStore in memory."""

    @locked
    def create(
        self,
        collection_id: int,
        on_existing: OnExisting,
        *,
        uri_prefix: str = "",
        idempotency_key: str = "",
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
    ) -> Job:
        """Create a job, or return the one that the same key made before. Raises CollectionNotFound, InvalidRequest."""
        state = self._state
        state.holding(collection_id)
        for job in state.jobs.values():
            if idempotency_key and (job.collection_id, job.idempotency_key) == (collection_id, idempotency_key):
                if job.training is not None:
                    raise key_of_another_kind()
                return to_job(self._state, job)
        job_id = str(uuid.uuid4())
        made = StoredJob(
            job_id, collection_id, on_existing, uri_prefix, idempotency_key, state.now(), active_at=state.clock()
        )
        made.on_duplicate = on_duplicate
        state.jobs[job_id] = made
        return to_job(self._state, made)

    @locked
    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return to_job(self._state, self._state.job(job_id))

    @locked
    def page(self, collection_id: int | None, before_job_id: str, limit: int) -> list[Job]:
        """Return jobs, the newest first, those older than `before_job_id` if one is given."""
        newest = list(reversed(self._state.jobs.values()))
        if before_job_id:
            newest = newest[newest.index(self._state.job(before_job_id)) + 1 :]
        return [to_job(self._state, job) for job in newest if collection_id in (None, job.collection_id)][:limit]

    @locked
    def planned(self, job_id: str) -> tuple[str, int]:
        """Return the job's `uri_prefix` and the highest ordinal added so far, -1 for none."""
        job = self._state.job(job_id)
        return job.uri_prefix, max(job.items, default=-1)

    @locked
    def add_items(self, job_id: str, items: Sequence[NewItem]) -> AddedItems:
        """Accept items as one new chunk; an ordinal accepted before is only reported."""
        job = self._state.job(job_id)
        fresh = [item for item in items if item.ordinal not in job.items]
        if fresh and job.closed_at is not None:
            raise closed_error(job_id, job.error)
        chunk = accept(self._state, job, fresh) if fresh else None
        statuses = (self._to_status(job, job.items[ordinal]) for ordinal in sorted({item.ordinal for item in items}))
        return AddedItems(chunk, tuple(statuses))

    @locked
    def close(self, job_id: str, error: ItemError | None = None) -> None:
        """Say that no more items will be added, or that the job failed as a whole. It ends when its items have."""
        job = self._state.job(job_id)
        if not has_ended(job):
            job.closed_at = job.closed_at or self._state.now()
            job.error = job.error or error

    @locked
    def progress(self, chunks: Mapping[str, AbstractCollection[int]]) -> dict[str, list[ChunkProgress]]:
        """Return how the named chunks of any number of jobs stand, by job."""
        known = {job_id: self._state.jobs[job_id].chunks for job_id in chunks if job_id in self._state.jobs}
        found = {
            job_id: [_to_progress(n, stored[n]) for n in sorted(chunks[job_id]) if n in range(len(stored))]
            for job_id, stored in known.items()
        }
        return {job_id: progress for job_id, progress in found.items() if progress}

    @locked
    def open_chunks(self, job_id: str) -> list[ChunkProgress]:
        """Return how those chunks of a job stand that have not ended."""
        job = self._state.jobs.get(job_id)
        stored = enumerate(job.chunks) if job is not None else ()
        return [_to_progress(number, chunk) for number, chunk in stored if chunk.open_items]

    @locked
    def statuses(self, job_id: str, chunks: AbstractCollection[int] | None = None) -> list[ItemStatus]:
        """Return how the items of those chunks stand, or of every chunk, by ordinal."""
        job = self._state.jobs.get(job_id)
        if job is None:
            return []
        items = (item for _, item in sorted(job.items.items()) if chunks is None or item.chunk in chunks)
        return [self._to_status(job, item) for item in items]

    @locked
    def failures(self, job_id: str, after_ordinal: int, limit: int) -> list[tuple[ItemStatus, str]]:
        """Return failed items above `after_ordinal` with their URIs, by ordinal."""
        job = self._state.jobs.get(job_id)
        items = sorted(job.items.items()) if job is not None else []
        failed = [item for ordinal, item in items if ordinal > after_ordinal and item.error is not None]
        return [(self._to_status(job, item), item.uri) for item in failed[:limit]] if job is not None else []

    def _to_status(self, job: StoredJob, item: Item) -> ItemStatus:
        stage = IngestStage.INDEXED if item.indexed else job.chunks[item.chunk].stage
        return ItemStatus(
            item.ordinal, item.image_id, stage, item.error, item.position, item.unchanged, item.duplicate_of
        )


def to_job(state: State, job: StoredJob) -> Job:
    """Return a job as it stands."""
    holding = state.holdings[job.collection_id]
    ended = has_ended(job)
    counts = {stage: _count_open(job.chunks, stage) for stage in IngestStage}
    shards = enumerate(holding.shards)
    token = SeqToken(tuple(ShardPosition(n, each.epoch, each.head_seq) for n, each in shards if each.head_seq))
    made = Job(
        job_id=job.job_id,
        collection_id=job.collection_id,
        collection=holding.collection.name,
        state=_state_of(job, ended),
        total=len(job.items),
        queued=counts[IngestStage.QUEUED],
        decoded=counts[IngestStage.DECODED],
        embedded=counts[IngestStage.EMBEDDED] + counts[IngestStage.INDEXED],
        indexed=sum(item.indexed for item in job.items.values()),
        failed=sum(item.error is not None for item in job.items.values()),
        created_at=job.created_at,
        ended_at=ended_at(job),
        error=job.error,
        token=token,
    )
    return made if job.training is None else _with_sample(made, job.training)


def _with_sample(job: Job, training: StoredTraining) -> Job:
    queued = training.total - training.decoded - training.failed
    return dataclasses.replace(
        job,
        kind=JobKind.TRAINING,
        training=training.spec,
        total=training.total,
        queued=queued,
        decoded=training.decoded,
        failed=training.failed,
    )


def _to_progress(number: int, chunk: Chunk) -> ChunkProgress:
    left = len(chunk.open_items)
    return ChunkProgress(number, chunk.stage if left else IngestStage.INDEXED, left)


def _count_open(chunks: Sequence[Chunk], stage: IngestStage) -> int:
    return sum(len(chunk.open_items) for chunk in chunks if chunk.stage is stage)


def _state_of(job: StoredJob, ended: bool) -> JobState:
    if ended:
        return JobState.FAILED if job.error else JobState.COMPLETED
    return JobState.PLANNING if job.uri_prefix and job.closed_at is None else JobState.RUNNING
