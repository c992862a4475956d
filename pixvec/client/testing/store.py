"""What the fake server holds, and how it compares pictures."""

import datetime as dt
import hashlib
import math
import threading
import uuid
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from pixvec.api.v1 import admin_service_pb2, collection_service_pb2, image_service_pb2, job_service_pb2
from pixvec.errors import (
    CollectionExists,
    CollectionNotFound,
    DuplicateImage,
    ImageNotFound,
    JobNotFound,
    PictureEmpty,
    PictureError,
)
from pixvec.rpc.conversions import time_to_wire

if TYPE_CHECKING:
    from pixvec.domain import Model

DIM = 8


def embed(content: bytes) -> list[float]:
    """Return a vector of length 8 that depends on every byte: equal pictures are equal, others are far apart."""
    if not content:
        raise PictureEmpty("the file is empty")
    return [byte / 127.5 - 1 for byte in hashlib.sha256(content).digest()[:DIM]]


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors."""
    lengths = math.hypot(*left) * math.hypot(*right)
    return sum(a * b for a, b in zip(left, right, strict=True)) / lengths if lengths else 0.0


def unpack(packed: bytes) -> list[float]:
    """Return the numbers of packed float32."""
    return list(array("f", packed))


@dataclass
class StoredImage:
    """An image as the fake server keeps it."""

    message: image_service_pb2.Image
    content: bytes
    vector: list[float]


@dataclass
class StoredCollection:
    """A collection as the fake server keeps it: one shard, one space."""

    message: collection_service_pb2.Collection
    epoch: str = field(default_factory=lambda: str(uuid.uuid4()))
    seq: int = 0
    images: dict[str, StoredImage] = field(default_factory=dict)


@dataclass
class StoredJob:
    """A job as the fake server keeps it."""

    message: job_service_pb2.Job
    on_duplicate: image_service_pb2.OnDuplicate = image_service_pb2.ON_DUPLICATE_KEEP
    statuses: dict[int, image_service_pb2.IngestItemStatus] = field(default_factory=dict)


class Store:
    """All of it, behind one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.collections: dict[str, StoredCollection] = {}
        self.jobs: dict[str, StoredJob] = {}
        self.models: dict[str, Model] = {}
        self.snapshots: list[admin_service_pb2.Snapshot] = []
        self.snapshot_failure = ""

    def create(self, message: collection_service_pb2.Collection) -> StoredCollection:
        """Add a collection. Raises CollectionExists."""
        if message.name in self.collections:
            raise CollectionExists(f"collection {message.name!r} exists", field="collection")
        message.create_time.CopyFrom(now())
        self.collections[message.name] = StoredCollection(message)
        return self.collections[message.name]

    def collection(self, name: str) -> StoredCollection:
        """Return a collection. Raises CollectionNotFound."""
        if name not in self.collections:
            raise CollectionNotFound(f"there is no collection {name!r}", field="collection")
        return self.collections[name]

    def image(self, collection: str, image_id: str) -> StoredImage:
        """Return an image. Raises ImageNotFound."""
        found = self.collection(collection).images.get(image_id)
        if found is None:
            raise ImageNotFound(f"collection {collection!r} holds no image {image_id!r}", field="image_id")
        return found

    def job(self, job_id: str) -> StoredJob:
        """Return a job. Raises JobNotFound."""
        if job_id not in self.jobs:
            raise JobNotFound(f"there is no job {job_id!r}", field="job_id")
        return self.jobs[job_id]

    def create_job(
        self,
        collection: str,
        on_duplicate: image_service_pb2.OnDuplicate = image_service_pb2.ON_DUPLICATE_KEEP,
    ) -> StoredJob:
        """Add a job. Raises CollectionNotFound."""
        self.collection(collection)
        message = job_service_pb2.Job(
            job_id=str(uuid.uuid4()), collection=collection, state=job_service_pb2.JOB_STATE_RUNNING
        )
        message.create_time.CopyFrom(now())
        self.jobs[message.job_id] = StoredJob(message, on_duplicate)
        return self.jobs[message.job_id]

    def take_in(self, job: StoredJob, item: image_service_pb2.IngestItem) -> image_service_pb2.IngestItemStatus:
        """Embed and index one item, or say why not. An ordinal that was taken in before is only reported."""
        if item.ordinal not in job.statuses:
            status = image_service_pb2.IngestItemStatus(ordinal=item.ordinal, image_id=item.image_id)
            job.statuses[item.ordinal] = status
            job.message.total += 1
            try:
                self._index(job, item, status)
                job.message.indexed += 1
            except (PictureError, DuplicateImage) as error:
                status.error.reason, status.error.message = error.reason, f"{item.image_id}: {error}"
                job.message.failed += 1
        return job.statuses[item.ordinal]

    def _index(
        self, job: StoredJob, item: image_service_pb2.IngestItem, status: image_service_pb2.IngestItemStatus
    ) -> None:
        collection = self.collection(job.message.collection)
        vector = embed(item.content)
        original = _original(collection, job, item)
        collection.seq += 1
        message = image_service_pb2.Image(
            image_id=item.image_id,
            state=image_service_pb2.IMAGE_STATE_LINKED if original else image_service_pb2.IMAGE_STATE_INDEXED,
            size_bytes=len(item.content),
            content_hash=hashlib.sha256(item.content).hexdigest(),
            attributes=item.attributes,
            duplicate_of=original,
        )
        collection.images[item.image_id] = StoredImage(message, item.content, vector)
        status.stage, status.duplicate_of = image_service_pb2.INGEST_STAGE_INDEXED, original
        status.position.shard, status.position.epoch, status.position.seq = 0, collection.epoch, collection.seq

    def end(self, job: StoredJob) -> None:
        """Say that no more items will come."""
        job.message.state = job_service_pb2.JOB_STATE_COMPLETED
        job.message.end_time.CopyFrom(now())
        collection = self.collection(job.message.collection)
        if collection.seq and not job.message.token.positions:
            job.message.token.positions.add(shard=0, epoch=collection.epoch, seq=collection.seq)


def _original(collection: StoredCollection, job: StoredJob, item: image_service_pb2.IngestItem) -> str:
    """Return the image that an item is to be linked to. Raises DuplicateImage where it is to be rejected."""
    if job.on_duplicate not in (image_service_pb2.ON_DUPLICATE_LINK, image_service_pb2.ON_DUPLICATE_REJECT):
        return ""
    for image_id, image in collection.images.items():
        if image_id != item.image_id and image.content == item.content and not image.message.duplicate_of:
            if job.on_duplicate == image_service_pb2.ON_DUPLICATE_REJECT:
                raise DuplicateImage(f"{item.image_id!r} is a duplicate of {image_id!r}")
            return image_id
    return ""


def now() -> Timestamp:
    """Return this moment as it travels."""
    return time_to_wire(dt.datetime.now(dt.UTC))
