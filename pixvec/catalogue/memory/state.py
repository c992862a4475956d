"""What the stores share, behind one lock: every method of a store is one transaction."""

import datetime as dt
import functools
import itertools
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

from pixvec.catalogue.acceptance import StoredImage
from pixvec.catalogue.bases import FeedStanding
from pixvec.domain import (
    Attributes,
    BaseSnapshot,
    Collection,
    FittedModel,
    IngestStage,
    ItemError,
    OnDuplicate,
    OnExisting,
    Region,
    ShardPosition,
    TrainingSpec,
)
from pixvec.errors import CollectionNotFound, JobNotFound

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Store")


@dataclass(slots=True)
class FeedRow:
    """One row of a feed."""

    seq: int
    image_id: str
    deleted: bool
    record: bytes


@dataclass(slots=True)
class Shard:
    """One shard's counter and its feed by image id."""

    epoch: str = field(default_factory=lambda: str(uuid.uuid4()))
    head_seq: int = 0
    tombstone_floor: int = 0
    truncated_seq: int = 0
    feed: dict[str, FeedRow] = field(default_factory=dict)


@dataclass(slots=True)
class StoredRow:
    """An image; content, sizes and attributes are those of the live version where there is one. `pending` are the
    versions on their way, the newest last."""

    pending: list[int]
    content_hash: str
    size_bytes: int
    attributes: Attributes
    created_at: dt.datetime
    updated_at: dt.datetime
    live_generation: int | None = None
    format: str = ""
    width: int = 0
    height: int = 0
    error: ItemError | None = None
    regions: tuple[Region, ...] = ()
    perceptual_hash: int | None = None
    duplicate_of: str = ""

    def as_stored(self) -> StoredImage:
        """Return what the rules of acceptance look at."""
        live, pending = self.live_generation is not None, bool(self.pending)
        return StoredImage(live, pending, self.content_hash, self.attributes, self.duplicate_of)


@dataclass(slots=True)
class Holding:
    """A collection with everything in it."""

    collection: Collection
    shards: list[Shard]
    images: dict[str, StoredRow] = field(default_factory=dict)
    deleted: bool = False


@dataclass(slots=True)
class Item:
    """One item of a job; open until it has an error or is indexed."""

    ordinal: int
    chunk: int
    image_id: str
    generation: int
    attributes: Attributes
    content_hash: str
    uri: str
    indexed: bool
    unchanged: bool = False
    attempt: int = 0
    error: ItemError | None = None
    position: ShardPosition | None = None
    duplicate_of: str = ""

    @property
    def open(self) -> bool:
        """Whether work on it is still to be done."""
        return not self.indexed and self.error is None


@dataclass(slots=True)
class Chunk:
    """Items that are leased together."""

    items: list[Item]
    published_at: float
    stage: IngestStage = IngestStage.QUEUED
    owner: str | None = None
    expires: float = 0.0
    ended_at: dt.datetime | None = None

    @property
    def open_items(self) -> list[Item]:
        """Its open items, by ordinal."""
        return sorted((item for item in self.items if item.open), key=lambda item: item.ordinal)


@dataclass(slots=True)
class StoredTraining:
    """What makes a job a training: what it fits, its lease, and how far its sample has come."""

    spec: TrainingSpec
    attempt: int = 0
    owner: str | None = None
    expires: float = 0.0
    total: int = 0
    decoded: int = 0
    failed: int = 0


@dataclass(slots=True)
class StoredJob:
    """A job with its chunks and items."""

    job_id: str
    collection_id: int
    on_existing: OnExisting
    uri_prefix: str
    idempotency_key: str
    created_at: dt.datetime
    active_at: float
    chunks: list[Chunk] = field(default_factory=list)
    items: dict[int, Item] = field(default_factory=dict)
    closed_at: dt.datetime | None = None
    error: ItemError | None = None
    training: StoredTraining | None = None
    on_duplicate: OnDuplicate = OnDuplicate.KEEP


@dataclass(slots=True)
class Searcher:
    """A registered searcher."""

    address: str
    expires: float


@dataclass(slots=True)
class PlacedShard:
    """How a searcher's copy of a shard stands."""

    ready: bool = False
    snapshot_seq: int = 0


class State:
    """All the rows of the catalogue, and the lock that guards them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.generations = itertools.count(1)
        self.holdings: dict[int, Holding] = {}
        self.jobs: dict[str, StoredJob] = {}
        self.searchers: dict[str, Searcher] = {}
        self.placements: dict[tuple[int, int, str], PlacedShard] = {}
        self.bases: dict[str, BaseSnapshot] = {}
        self.models: dict[str, FittedModel] = {}
        self.routing_version = 1

    def now(self) -> dt.datetime:
        """Return the clock's time."""
        return dt.datetime.fromtimestamp(self.clock(), dt.UTC)

    def holding(self, collection_id: int) -> Holding:
        """Raises CollectionNotFound."""
        found = self.holdings.get(collection_id)
        if found is None or found.deleted:
            raise CollectionNotFound(f"collection {collection_id} has been deleted", field="collection")
        return found

    def job(self, job_id: str) -> StoredJob:
        """Raises JobNotFound."""
        found = self.jobs.get(job_id)
        if found is None:
            raise JobNotFound(f"no job {job_id!r}: it may be of a deleted collection", field="job_id")
        return found

    def bases_of(self, collection_id: int, shard: int) -> list[BaseSnapshot]:
        """Return every base of one shard."""
        return [each for each in self.bases.values() if (each.collection_id, each.shard) == (collection_id, shard)]

    def feed_standing(self, collection_id: int, number: int) -> FeedStanding:
        """Return how a feed stands, that of a deleted collection too."""
        holding = self.holdings[collection_id]
        shard = holding.shards[number]
        passed = [each.snapshot_seq for key, each in self.placements.items() if key[:2] == (collection_id, number)]
        return FeedStanding(
            shard.epoch,
            shard.head_seq,
            shard.tombstone_floor,
            shard.truncated_seq,
            min(passed, default=0),
            holding.deleted,
        )

    def live_searchers(self) -> list[str]:
        """Return the searchers whose lease runs."""
        return [each for each, searcher in self.searchers.items() if searcher.expires > self.clock()]

    def missed_searchers(self, grace_s: float) -> list[str]:
        """Return the searchers whose lease ran out less than `grace_s` seconds ago."""
        now = self.clock()
        return [each for each, searcher in self.searchers.items() if 0 <= now - searcher.expires < grace_s]


class Store:
    """Base of the stores: holds the state that `locked` guards."""

    def __init__(self, state: State) -> None:
        self._state = state


def locked(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Let one thread at a time run a method of any store over the same state."""

    @functools.wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._state.lock:
            return method(self, *args, **kwargs)

    return run
