"""Trainings and fitted models, as long as the process lives."""

import hashlib
import uuid
from collections.abc import Sequence

from pixvec.catalogue.attempts import MAX_ATTEMPTS
from pixvec.catalogue.memory.jobs import to_job
from pixvec.catalogue.memory.state import State, Store, StoredJob, StoredTraining, locked
from pixvec.catalogue.sharding import shard_of
from pixvec.catalogue.trainings import (
    LeasedTraining,
    SampledImage,
    check_unused,
    exhaustion,
    key_of_another_kind,
    taken,
    unknown,
)
from pixvec.domain import FittedModel, ItemError, Job, OnExisting, TrainingSpec
from pixvec.errors import JobNotFound


class MemoryTrainingStore(Store):
    """TrainingStore in memory."""

    @locked
    def create(self, collection_id: int, spec: TrainingSpec, *, idempotency_key: str = "") -> Job:
        """Create a job, or return the one that the same key made before. Raises CollectionNotFound, InvalidRequest,
        ModelExists."""
        state = self._state
        state.holding(collection_id)
        for job in state.jobs.values():
            if idempotency_key and (job.collection_id, job.idempotency_key) == (collection_id, idempotency_key):
                if job.training is None:
                    raise key_of_another_kind()
                return to_job(state, job)
        check_free(state, spec.name)
        made = StoredJob(
            str(uuid.uuid4()),
            collection_id,
            OnExisting.REPLACE,
            "",
            idempotency_key,
            state.now(),
            active_at=state.clock(),
            training=StoredTraining(spec),
        )
        state.jobs[made.job_id] = made
        return to_job(state, made)

    @locked
    def lease(self, job_id: str, owner: str, ttl_s: float) -> LeasedTraining | None:
        """Lease a training that nobody works on, or end it if it has had every attempt. Raises JobNotFound."""
        job, training = self._find(job_id)
        if job.closed_at is not None or training.expires > self._state.clock():
            return None
        if training.attempt >= MAX_ATTEMPTS:
            self._end(job, exhaustion())
            return None
        training.attempt += 1
        training.owner, training.expires = owner, self._state.clock() + ttl_s
        training.total = training.decoded = training.failed = 0
        collection = self._state.holding(job.collection_id).collection
        return LeasedTraining(job_id, owner, training.attempt, collection, training.spec)

    @locked
    def renew(self, job_id: str, owner: str, ttl_s: float) -> bool:
        """Extend a lease. Return False when it has been lost, or the job was ended."""
        training = self._held(job_id, owner)
        if training is None or training.expires <= self._state.clock():
            return False
        training.expires = self._state.clock() + ttl_s
        return True

    @locked
    def release(self, job_id: str, owner: str) -> None:
        """Give a lease back unused."""
        training = self._held(job_id, owner)
        if training is not None:
            training.attempt -= 1
            training.owner, training.expires = None, 0.0

    @locked
    def put_off(self, job_id: str, owner: str, pause_s: float) -> None:
        """Give a lease back after an attempt that counts."""
        training = self._held(job_id, owner)
        if training is not None:
            training.owner, training.expires = None, self._state.clock() + pause_s

    @locked
    def note(self, job_id: str, owner: str, total: int, decoded: int, failed: int) -> None:
        """Note how far the sample has come."""
        training = self._held(job_id, owner)
        if training is not None:
            training.total, training.decoded, training.failed = total, decoded, failed

    @locked
    def complete(self, job_id: str, owner: str, model: FittedModel) -> bool:
        """Register what was fitted and end the job. Return False when the lease has been lost."""
        if self._held(job_id, owner) is None:
            return False
        self._state.models[model.name] = model
        self._end(self._state.job(job_id), None)
        return True

    @locked
    def fail(self, job_id: str, owner: str, error: ItemError) -> None:
        """End the job as failed, if the lease still holds."""
        if self._held(job_id, owner) is not None:
            self._end(self._state.job(job_id), error)

    @locked
    def silent(self, silent_s: float, limit: int) -> list[str]:
        """Return ids of open trainings that nobody works on and no message was sent for, the oldest first."""
        now = self._state.clock()
        silent = [
            (job.active_at, job.job_id)
            for job in self._state.jobs.values()
            if job.training is not None and job.closed_at is None
            if job.active_at <= now - silent_s and job.training.expires <= now
        ]
        return [job_id for _, job_id in sorted(silent)[:limit]]

    @locked
    def sample(self, collection_id: int, size: int) -> list[SampledImage]:
        """Return up to `size` of the images that can be found, drawn evenly, the same ones each time."""
        holding = self._state.holdings.get(collection_id)
        images = holding.images.items() if holding is not None else ()
        live = [(name, row.content_hash) for name, row in images if row.live_generation is not None]
        drawn = sorted((_lot(name), name, content) for name, content in live if content)
        return [SampledImage(name, content) for _, name, content in drawn[:size]]

    @locked
    def records(self, collection_id: int, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the feed's records of those images that it has."""
        holding = self._state.holdings.get(collection_id)
        if holding is None or holding.deleted:
            return {}
        found = {name: holding.shards[shard_of(name, len(holding.shards))].feed.get(name) for name in image_ids}
        return {name: row.record for name, row in found.items() if row is not None and not row.deleted}

    def _find(self, job_id: str) -> tuple[StoredJob, StoredTraining]:
        job = self._state.jobs.get(job_id)
        if job is None or job.training is None:
            raise JobNotFound(f"no training {job_id!r}: it may be of a deleted collection", field="job_id")
        return job, job.training

    def _held(self, job_id: str, owner: str) -> StoredTraining | None:
        job = self._state.jobs.get(job_id)
        if job is None or job.training is None or job.closed_at is not None or job.training.owner != owner:
            return None
        return job.training

    def _end(self, job: StoredJob, error: ItemError | None) -> None:
        job.closed_at, job.error = self._state.now(), error


class MemoryModelStore(Store):
    """ModelStore in memory."""

    @locked
    def register(self, model: FittedModel) -> None:
        """Raises ModelExists when the name is taken by a model or by a training that has not ended."""
        check_free(self._state, model.name)
        self._state.models[model.name] = model

    @locked
    def get(self, name: str) -> FittedModel:
        """Raises ModelNotFound."""
        if name not in self._state.models:
            raise unknown(name)
        return self._state.models[name]

    @locked
    def page(self, after_name: str, limit: int) -> list[FittedModel]:
        """Return up to `limit` models with names above `after_name`, by name."""
        return [model for name, model in sorted(self._state.models.items()) if name > after_name][:limit]

    @locked
    def delete(self, name: str) -> None:
        """Raises ModelNotFound, FailedPrecondition when a space of a collection or another model is made with it."""
        if name not in self._state.models:
            raise unknown(name)
        state = self._state
        collections = (each.collection for each in state.holdings.values() if not each.deleted)
        check_unused(name, collections, state.models.values(), open_trainings(state))
        del self._state.models[name]


def check_free(state: State, name: str) -> None:
    """Raise ModelExists when a name is taken."""
    if name in state.models or any(spec.name == name for spec in open_trainings(state)):
        raise taken(name)


def open_trainings(state: State) -> list[TrainingSpec]:
    """Return what the trainings that have not ended are to fit."""
    return [job.training.spec for job in state.jobs.values() if job.training is not None and job.closed_at is None]


def _lot(image_id: str) -> str:
    return hashlib.md5(image_id.encode(), usedforsecurity=False).hexdigest()
