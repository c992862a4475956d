"""What the catalogue promises. Postgres keeps these promises in a deployment, memory does in tests; one
suite checks both.

Every method is one transaction unless it says otherwise, blocks its thread, raises DatabaseUnavailable when the
database cannot be reached, and a bare PixvecError when it refuses what it is asked: a fault of pixvec's own.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as AbstractCollection
from dataclasses import dataclass
from typing import Protocol

from pixvec.catalogue.bases import BaseStore
from pixvec.catalogue.duplicates import StoredPicture
from pixvec.catalogue.feed import FeedBatch, FeedReader
from pixvec.catalogue.topology import TopologyStore
from pixvec.catalogue.trainings import ModelStore, TrainingStore
from pixvec.domain import (
    Attributes,
    Collection,
    Image,
    IndexSettings,
    IngestStage,
    ItemError,
    Job,
    OnDuplicate,
    OnExisting,
    Region,
    SeqToken,
    ShardPosition,
    Space,
)


@dataclass(frozen=True, slots=True)
class NewItem:
    """A picture to take in: bytes already in the blob store (`content_hash`), or a `uri` for the worker to fetch."""

    ordinal: int
    image_id: str
    attributes: Attributes
    content_hash: str = ""
    size_bytes: int = 0
    uri: str = ""


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """How one item stands. `position` comes with INDEXED, except for an item that a delete or a newer version overtook
    before it could be found, or that was linked to its original, `duplicate_of`."""

    ordinal: int
    image_id: str
    stage: IngestStage
    error: ItemError | None = None
    position: ShardPosition | None = None
    unchanged: bool = False
    duplicate_of: str = ""

    @property
    def ended(self) -> bool:
        """Whether the item will change no more."""
        return self.error is not None or self.stage is IngestStage.INDEXED


@dataclass(frozen=True, slots=True)
class AddedItems:
    """What became of some items: `chunk` is the new chunk to publish, None when none of them needs work."""

    chunk: int | None
    statuses: tuple[ItemStatus, ...]


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """Names one chunk of work: all that a queue message carries."""

    job_id: str
    chunk: int


@dataclass(frozen=True, slots=True)
class LeasedItem:
    """An item this worker may work on until the lease ends. `attempt` counts from 1."""

    ordinal: int
    image_id: str
    generation: int
    attempt: int
    attributes: Attributes
    content_hash: str
    uri: str


@dataclass(frozen=True, slots=True)
class LeasedChunk:
    """The open items of a chunk, leased to `owner`, and what their job does with duplicates."""

    ref: ChunkRef
    owner: str
    collection: Collection
    items: tuple[LeasedItem, ...]
    on_duplicate: OnDuplicate = OnDuplicate.KEEP


@dataclass(frozen=True, slots=True)
class ChunkProgress:
    """How a chunk stands. `stage` is how far those of its items have come that are still open, `open_items` many."""

    chunk: int
    stage: IngestStage
    open_items: int

    @property
    def ended(self) -> bool:
        """Whether every item of it has ended."""
        return self.open_items == 0


@dataclass(frozen=True, slots=True)
class EmbeddedItem:
    """A leased item with its packed feed record and what decoding told of the picture. `regions`: what was found in it,
    in the order of its rows in the space of regions; `perceptual_hash`: 64 bits, None for a plain picture."""

    item: LeasedItem
    record: bytes
    content_hash: str
    size_bytes: int
    format: str
    width: int
    height: int
    regions: tuple[Region, ...] = ()
    perceptual_hash: int | None = None


@dataclass(frozen=True, slots=True)
class FailedItem:
    """A leased item that did not become vectors."""

    item: LeasedItem
    error: ItemError


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did. `chunks`: work it made, to be published: duplicates that take the place of their original."""

    batches: tuple[FeedBatch, ...] = ()
    chunks: tuple[ChunkRef, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletedImages:
    """What a delete did. `chunks`: work it made, to be published: duplicates that take the place of their original."""

    deleted: int
    not_found: int
    token: SeqToken
    batches: tuple[FeedBatch, ...]
    chunks: tuple[ChunkRef, ...] = ()


class CollectionStore(Protocol):
    """Collections with their spaces and shards."""

    def create(self, name: str, spaces: Sequence[Space], shard_count: int, replicas: int = 1) -> Collection:
        """Create a collection with its shards' counters, each shard placed on `replicas` of the live searchers. Raises
        CollectionExists."""

    def get(self, name: str) -> Collection:
        """Raises CollectionNotFound."""

    def get_by_id(self, collection_id: int) -> Collection:
        """Raises CollectionNotFound."""

    def page(self, after_name: str, limit: int) -> list[Collection]:
        """Return up to `limit` collections with names above `after_name`, by name."""

    def change_index(self, name: str, space: str, change: Callable[[IndexSettings], IndexSettings]) -> Collection:
        """Give a space other index settings, or every space where `space` is empty. `change` may be called again; of
        several calls at once each sees what the other left. Raises CollectionNotFound, SpaceNotFound."""

    def count_images(self, collection_id: int) -> int:
        """Return the number of images that can be found."""

    def delete(self, name: str) -> None:
        """Take the collection out of sight at once and fail its open jobs; `purge` frees the rows. Raises
        CollectionNotFound."""

    def purge(self, limit: int) -> int:
        """Remove up to `limit` rows of deleted collections. Return how many were removed; 0 means nothing is left."""


class ImageReader(Protocol):
    """What is known of images."""

    def get(self, collection_id: int, image_id: str) -> Image:
        """Raises ImageNotFound."""

    def attributes(self, collection_id: int, image_ids: Sequence[str]) -> dict[str, Attributes]:
        """Return the attributes of those images that are there."""

    def regions(self, collection_id: int, image_id: str) -> list[Region]:
        """Return every region of an image, by ordinal, with its mask."""

    def regions_at(
        self, collection_id: int, places: Sequence[tuple[str, int]], *, with_masks: bool = False
    ) -> dict[tuple[str, int], Region]:
        """Return those regions that are there, each named by its image's id and its ordinal."""

    def pictures(self, collection_id: int, image_ids: Sequence[str]) -> dict[str, StoredPicture]:
        """Return the pictures of those images that are there and were decoded."""

    def pictures_like(
        self, collection_id: int, content_hash: str, perceptual_hash: int | None, limit: int
    ) -> list[StoredPicture]:
        """Return up to `limit` pictures, linked ones too, of these bytes, then those whose hash differs in few bits."""

    def contents_in_use(self, content_hashes: Sequence[str]) -> set[str]:
        """Return those of the hashes whose bytes an image or an open item of a job refers to, in any collection that
        has not been purged, or a fitted model."""


class JobStore(Protocol):
    """Jobs, their chunks and their items: the durable queue behind the Celery messages."""

    def create(
        self,
        collection_id: int,
        on_existing: OnExisting,
        *,
        uri_prefix: str = "",
        idempotency_key: str = "",
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
    ) -> Job:
        """Create a job: PLANNING with a `uri_prefix`, RUNNING and open-ended without. The same `idempotency_key` in the
        same collection again returns the job it made. Raises CollectionNotFound, InvalidRequest when a training has
        that key."""

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""

    def page(self, collection_id: int | None, before_job_id: str, limit: int) -> list[Job]:
        """Return jobs, the newest first, those older than `before_job_id` if one is given."""

    def planned(self, job_id: str) -> tuple[str, int]:
        """Return the job's `uri_prefix` and the highest ordinal added so far, -1 for none."""

    def add_items(self, job_id: str, items: Sequence[NewItem]) -> AddedItems:
        """Accept items as one new chunk. An ordinal accepted before is only reported. Each new item is resolved against
        the stored image by the job's OnExisting; what needs work gives its image a new generation. For SKIP and FAIL an
        image on its way exists already. Where the job does not keep duplicates, bytes that another image is searched by
        need no work, but for an id that is taken: whether that is a duplicate is decided by `commit`. Of one id twice
        in a call one item counts, whatever becomes of it: for REPLACE the last one. An item that fails here
        (ImageExists, DuplicateImage, or InvalidRequest for an id or attributes that cannot be stored) is recorded as
        failed. Raises JobNotFound, or FailedPrecondition for new ordinals of a closed job."""

    def close(self, job_id: str, error: ItemError | None = None) -> None:
        """Say that no more items will be added, or that the job failed as a whole. It ends when its items have."""

    def lease_chunk(self, ref: ChunkRef, owner: str, ttl_s: float) -> LeasedChunk | None:
        """Lease the open items of one chunk whose lease is free or has expired, counting an attempt. An item with 3
        attempts behind it ends as failed (AttemptsExhausted). Return None when nothing is left to do.

        Items come in order of ordinals. From the second attempt on they are to be worked and committed one by one in
        that order: from the third on only the first open item is charged, as no other can have taken the worker down.
        """

    def lease_next(self, job_id: str, owner: str, ttl_s: float) -> LeasedChunk | None:
        """Lease the first chunk of the job that nobody works on, passing over those that another worker locks."""

    def renew(self, ref: ChunkRef, owner: str, ttl_s: float) -> bool:
        """Extend a lease. Return False when it has been lost."""

    def release(self, ref: ChunkRef, owner: str) -> None:
        """Give a lease back unused: its attempt is not counted."""

    def put_off(self, ref: ChunkRef, owner: str, pause_s: float) -> None:
        """Give a lease back after an attempt that counts: nobody can lease the chunk for `pause_s` seconds."""

    def set_stage(self, ref: ChunkRef, owner: str, stage: IngestStage) -> None:
        """Note how far a chunk has come as a whole: a display value, written without waiting for the disk."""

    def progress(self, chunks: Mapping[str, AbstractCollection[int]]) -> dict[str, list[ChunkProgress]]:
        """Return how the named chunks of any number of jobs stand, by job: one cheap query, polled. A chunk that is
        gone is left out."""

    def open_chunks(self, job_id: str) -> list[ChunkProgress]:
        """Return how those chunks of a job stand that have not ended."""

    def statuses(self, job_id: str, chunks: AbstractCollection[int] | None = None) -> list[ItemStatus]:
        """Return how the items of those chunks stand, or of every chunk, by ordinal."""

    def failures(self, job_id: str, after_ordinal: int, limit: int) -> list[tuple[ItemStatus, str]]:
        """Return failed items above `after_ordinal` with their URIs, by ordinal."""

    def count_open_items(self) -> int:
        """Return how many items of all jobs await work, for pushing back on writers."""

    def mark_published(self, refs: Sequence[ChunkRef]) -> None:
        """Note that a queue message was just sent for these chunks."""

    def unattended(self, silent_s: float, limit: int) -> list[ChunkRef]:
        """Return chunks with open items, no live lease and no message sent for `silent_s` seconds, the oldest first."""

    def deserted(self, silent_s: float, limit: int) -> list[ChunkRef]:
        """Return those chunks of `unattended` that a worker had begun, its lease having expired, and those that came of
        giving up an original: nobody sent a message for them."""

    def unplanned(self, silent_s: float, limit: int) -> list[str]:
        """Return ids of jobs still PLANNING to which nobody added items, or which nobody touched, for `silent_s`
        seconds."""

    def touch(self, job_ids: Sequence[str]) -> None:
        """Note that these jobs are being looked after: a caller's stream is open, or a planner was just asked."""

    def close_abandoned(self, silent_s: float, limit: int) -> list[str]:
        """Close up to `limit` streaming jobs without open items that nobody added to or touched for `silent_s` seconds:
        their callers stay away. Return their ids."""

    def prune(self, age_s: float, limit: int) -> int:
        """Remove up to `limit` rows of jobs that ended `age_s` seconds ago or earlier, with what is known of their
        items; images stay. Return how many were removed; 0 means nothing is left."""


class FeedWriter(Protocol):
    """The one way in which images become searchable, or cease to be."""

    def commit(self, chunk: LeasedChunk, embedded: Sequence[EmbeddedItem], failed: Sequence[FailedItem]) -> Committed:
        """Write one transaction a shard: lock the images, drop items that were overtaken, write images and feed rows,
        draw sequence numbers last, end the items. Running it twice changes nothing. Of several versions on their way
        the newest that works is found in the end, in whatever order they come. Where the job does not keep
        duplicates, of several pictures that are the same one alone is written, whoever commits them at once; the others
        are linked to it, or fail with DuplicateImage. When an original becomes another picture, the oldest of its
        duplicates takes its place: it is taken in anew, by a job of its own."""

    def delete(self, collection_id: int, image_ids: Sequence[str]) -> DeletedImages:
        """Delete images, leaving tombstones. An embed still under way for one of them will not bring it back. The
        oldest duplicate of an original takes its place."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All the stores of one database."""

    collections: CollectionStore
    images: ImageReader
    jobs: JobStore
    feed_writer: FeedWriter
    feed_reader: FeedReader
    topology: TopologyStore
    bases: BaseStore
    trainings: TrainingStore
    models: ModelStore
    close: Callable[[], None]
