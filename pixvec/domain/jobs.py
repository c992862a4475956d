"""Jobs: pictures taken in, or models fitted, in the background."""

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum

from pixvec.domain.feed import SeqToken
from pixvec.domain.images import ItemError
from pixvec.domain.models import TrainingSpec


class JobState(StrEnum):
    """The life of a job: planning, running, then one of the two ends."""

    PLANNING = "planning"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the job will change no more."""
        return self in (JobState.COMPLETED, JobState.FAILED)


class JobKind(StrEnum):
    """What a job is about."""

    INGEST = "ingest"
    TRAINING = "training"


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job and how its items stand. Each item is counted once, at the furthest stage it reached. The items of a
    training are the pictures of its sample, each decoded or failed in the end."""

    job_id: str
    collection: str
    state: JobState
    total: int
    queued: int
    decoded: int
    embedded: int
    indexed: int
    failed: int
    created_at: dt.datetime
    ended_at: dt.datetime | None = None
    error: ItemError | None = None
    token: SeqToken = field(default_factory=SeqToken)
    kind: JobKind = JobKind.INGEST
    training: TrainingSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobInfo):
    """A job as the catalogue knows it."""

    collection_id: int
