"""Jobs that fit something on a sample of a collection, and the fitted models that come of them. What `interfaces` says
of every store holds of these two."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pixvec.catalogue.attempts import MAX_ATTEMPTS
from pixvec.domain import Collection, FittedModel, ItemError, Job, TrainingSpec
from pixvec.errors import AttemptsExhausted, FailedPrecondition, InvalidRequest, ModelExists, ModelNotFound


@dataclass(frozen=True, slots=True)
class LeasedTraining:
    """A training that this worker may work on until the lease ends. `attempt` counts from 1."""

    job_id: str
    owner: str
    attempt: int
    collection: Collection
    spec: TrainingSpec


@dataclass(frozen=True, slots=True)
class SampledImage:
    """An image that was drawn, with the hash of its bytes."""

    image_id: str
    content_hash: str


class TrainingStore(Protocol):
    """Trainings: each is a job, leased as a whole and begun anew when its worker was lost."""

    def create(self, collection_id: int, spec: TrainingSpec, *, idempotency_key: str = "") -> Job:
        """Create a job, RUNNING from the start. The same `idempotency_key` in the same collection again returns the job
        it made. Raises CollectionNotFound, InvalidRequest when an ingest has that key, ModelExists when the name is
        taken by a model or by a training that has not ended."""

    def lease(self, job_id: str, owner: str, ttl_s: float) -> LeasedTraining | None:
        """Lease a training whose lease is free or has expired, counting an attempt; what was counted of its sample
        begins anew. With 3 attempts behind it, it ends as failed (AttemptsExhausted). Return None when it is not to be
        worked on now. Raises JobNotFound."""

    def renew(self, job_id: str, owner: str, ttl_s: float) -> bool:
        """Extend a lease. Return False when it has been lost, or the job was ended."""

    def release(self, job_id: str, owner: str) -> None:
        """Give a lease back unused: its attempt is not counted."""

    def put_off(self, job_id: str, owner: str, pause_s: float) -> None:
        """Give a lease back after an attempt that counts: nobody can lease the job for `pause_s` seconds."""

    def note(self, job_id: str, owner: str, total: int, decoded: int, failed: int) -> None:
        """Note how many pictures the sample has, and how far it has come: display values, written without waiting for
        the disk."""

    def complete(self, job_id: str, owner: str, model: FittedModel) -> bool:
        """Register what was fitted and end the job, at once. Return False, and do neither, when the lease has been
        lost, or the job was ended meanwhile."""

    def fail(self, job_id: str, owner: str, error: ItemError) -> None:
        """End the job as failed, if the lease still holds."""

    def silent(self, silent_s: float, limit: int) -> list[str]:
        """Return ids of trainings that are open, leased by nobody, and for which no message was sent for `silent_s`
        seconds (`JobStore.touch` says that one was), the oldest first."""

    def sample(self, collection_id: int, size: int) -> list[SampledImage]:
        """Return up to `size` of the images that can be found and have bytes, drawn evenly, the same ones each time. In
        the order of the draw."""

    def records(self, collection_id: int, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the feed's records of those images that it has."""


class ModelStore(Protocol):
    """Fitted models by name."""

    def register(self, model: FittedModel) -> None:
        """Raises ModelExists when the name is taken by a model or by a training that has not ended."""

    def get(self, name: str) -> FittedModel:
        """Raises ModelNotFound."""

    def page(self, after_name: str, limit: int) -> list[FittedModel]:
        """Return up to `limit` models with names above `after_name`, by name."""

    def delete(self, name: str) -> None:
        """Raises ModelNotFound, FailedPrecondition when a space of a collection is made with it, or another model is
        fitted on it."""


def check_unused(
    name: str, collections: Iterable[Collection], models: Iterable[FittedModel], trainings: Iterable[TrainingSpec]
) -> None:
    """Raise FailedPrecondition if a space of one of the collections, another fitted model or what an open training fits
    is made with this fitted model."""
    needed = re.compile(rf"(^sift-(bow|vlad):|\+pcaw?:){re.escape(name)}(:\d+)?(\+|$)")
    users = [each.name for each in collections if any(needed.search(space.model) for space in each.spaces)]
    if users:
        raise FailedPrecondition(
            f"model {name!r} is what vectors of {', '.join(users)} are made with: delete those collections first"
        )
    bases = [*((each.name, each.base_model) for each in models), *((each.name, each.base_model) for each in trainings)]
    built = [each for each, base_model in bases if needed.search(base_model)]
    if built:
        raise FailedPrecondition(f"models {', '.join(built)} are fitted on {name!r}: delete those first")


def taken(name: str) -> ModelExists:
    """Return the error for a name that is taken."""
    return ModelExists(
        f"there is a fitted model {name!r} already, or a job makes one: take another name, or delete that one first",
        field="name",
    )


def unknown(name: str) -> ModelNotFound:
    """Return the error for a name that nothing has."""
    return ModelNotFound(f"no fitted model {name!r}: see `pixvec models`", field="model")


def key_of_another_kind() -> InvalidRequest:
    """Return the error for an idempotency key that made a job of another kind."""
    return InvalidRequest("this key made a job of another kind: take another key", field="idempotency_key")


def exhaustion() -> ItemError:
    """Return the error of a training that has had every attempt."""
    message = f"the training took its worker down {MAX_ATTEMPTS} times: look at the worker's log, then ask for it again"
    return ItemError(AttemptsExhausted.reason, message, AttemptsExhausted.retryable)
