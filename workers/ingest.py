"""Takes chunks of pictures in: fetch, decode, embed, commit, push. The next chunk is decoded while one is embedded."""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pixvec.catalogue.interfaces import Catalogue, ChunkRef, EmbeddedItem, FailedItem, LeasedChunk, LeasedItem
from pixvec.domain import IngestStage, ItemError
from pixvec.errors import PixvecError, Unavailable
from pixvec.jobs.blobs import BlobStore
from pixvec.jobs.queue import ChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.rpc.pusher import Pusher
from pixvec.rpc.records import encode_record
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import CHUNK_SECONDS, ENDED_ITEMS
from pixvec.vision.decode import Picture
from pixvec.vision.registry import Extractor, Vectors
from workers.batcher import Batcher
from workers.decode_pool import Decoder
from workers.leases import LeaseKeeper
from workers.model_host import ModelHost

log = get_logger(__name__)

_T = TypeVar("_T")

# A drain ends here, so that jobs take turns and Celery's limits hold.
DRAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A picture's bytes on their way through the decoders: one future for each space."""

    content_hash: str
    size_bytes: int
    pictures: "tuple[Future[Picture], ...]"


@dataclass(frozen=True, slots=True)
class _Begun:
    """A leased chunk whose pictures are being fetched and decoded."""

    chunk: LeasedChunk
    extractors: tuple[Extractor, ...]
    fetched: "tuple[Future[_Fetched], ...]"


@dataclass(frozen=True, slots=True)
class _Decoded:
    """An item with its picture in each space."""

    item: LeasedItem
    content_hash: str
    size_bytes: int
    pictures: tuple[Picture, ...]


class IngestRunner:
    """Works on chunks. A database that goes away ends the work quietly: the lease runs out, and it is done again."""

    def __init__(
        self,
        catalogue: Catalogue,
        blobs: BlobStore,
        sources: UriSources,
        queue: ChunkQueue,
        pusher: Pusher,
        host: ModelHost,
        decoder: Decoder,
        batcher: Batcher,
        leases: LeaseKeeper,
        *,
        owner: str,
        lease_s: float,
        batch_images: int,
    ) -> None:
        self._catalogue = catalogue
        self._blobs = blobs
        self._sources = sources
        self._queue = queue
        self._pusher = pusher
        self._host = host
        self._decoder = decoder
        self._batcher = batcher
        self._leases = leases
        self._owner = owner
        self._lease_s = lease_s
        self._batch_images = batch_images
        self._fetching = ThreadPoolExecutor(4, thread_name_prefix="fetch")
        self._committing = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def run(self, ref: ChunkRef) -> None:
        """Work on this chunk, then on others of its job until none is free or the drain has lasted long enough.

        Raises Unavailable when the database goes away; the leases then run out, kept by nobody.
        """
        leased: list[LeasedChunk] = []
        commits: list[Future[None]] = []
        try:
            self._drain(ref, leased, commits)
        finally:
            wait(commits)
            for chunk in leased:
                self._leases.drop(chunk)
        for commit in commits:
            commit.result()

    def _drain(self, ref: ChunkRef, leased: list[LeasedChunk], commits: "list[Future[None]]") -> None:
        stop_at = time.monotonic() + DRAIN_S
        begun = self._begin(self._catalogue.jobs.lease_chunk(ref, self._owner, self._lease_s), leased)
        while begun is not None:
            more = time.monotonic() < stop_at
            following = self._begin(self._lease_next(ref.job_id), leased) if more else None
            commits += self._work(begun)
            if not more:
                self._hand_on(ref.job_id)
            begun = following

    def _hand_on(self, job_id: str) -> None:
        """Say that the job has more to do, naming a chunk that is open: one that is done would wake nobody."""
        left = self._lease_next(job_id)
        if left is not None:
            self._catalogue.jobs.release(left.ref, self._owner)
            self._queue.publish([left.ref])

    def _lease_next(self, job_id: str) -> LeasedChunk | None:
        return self._catalogue.jobs.lease_next(job_id, self._owner, self._lease_s)

    def _begin(self, chunk: LeasedChunk | None, leased: list[LeasedChunk]) -> _Begun | None:
        if chunk is None:
            return None
        leased.append(chunk)
        self._leases.hold(chunk)
        try:
            extractors = tuple(self._host.get(space.model, space.digest) for space in chunk.collection.spaces)
        except PixvecError as error:
            failed = [_failed(item, error) for item in chunk.items]
            self._commit(chunk, [], failed, last=True)
            return _Begun(chunk, (), ())
        # From the second attempt on an item is alone in the works: it may be the one that took a worker down.
        eager = chunk.items if chunk.items[0].attempt < 2 else ()
        return _Begun(chunk, extractors, tuple(self._fetching.submit(self._fetch, item, extractors) for item in eager))

    def _work(self, begun: _Begun) -> "list[Future[None]]":
        """Embed what `_begin` began; return the commits under way."""
        if not begun.extractors:
            return []
        if not begun.fetched:
            self._work_one_by_one(begun)
            return []
        with CHUNK_SECONDS.labels("embed").time():
            embedded, failed = self._embed(
                begun.extractors,
                begun.chunk,
                self._while_held(begun.chunk, zip(begun.chunk.items, begun.fetched, strict=True)),
            )
        kept = self._leases.holds(begun.chunk)
        if not kept:
            for fetching in begun.fetched:
                fetching.cancel()
        return [self._committing.submit(self._commit, begun.chunk, embedded, failed, last=kept)]

    def _work_one_by_one(self, begun: _Begun) -> None:
        for item in self._while_held(begun.chunk, begun.chunk.items):
            fetched = self._fetching.submit(self._fetch, item, begun.extractors)
            embedded, failed = self._embed(begun.extractors, begun.chunk, iter([(item, fetched)]))
            self._commit(begun.chunk, embedded, failed, last=item is begun.chunk.items[-1])

    def _while_held(self, chunk: LeasedChunk, work: Iterable[_T]) -> Iterator[_T]:
        """Pass on work of a chunk until its lease turns out to be lost: another worker does the rest."""
        return itertools.takewhile(lambda _: self._leases.holds(chunk), work)

    def _fetch(self, item: LeasedItem, extractors: Sequence[Extractor]) -> _Fetched:
        if item.uri:
            content = self._sources.fetch(item.uri)
            content_hash = self._blobs.put(content)
        else:
            content, content_hash = self._blobs.get(item.content_hash), item.content_hash
        pictures = tuple(self._decoder.decode(content, extractor.preprocess) for extractor in extractors)
        return _Fetched(content_hash, len(content), pictures)

    def _embed(
        self,
        extractors: Sequence[Extractor],
        chunk: LeasedChunk,
        items: "Iterator[tuple[LeasedItem, Future[_Fetched]]]",
    ) -> tuple[list[EmbeddedItem], list[FailedItem]]:
        failed: list[FailedItem] = []
        embedding = [
            (batch, [self._batcher.submit(each, _pixels(batch, space)) for space, each in enumerate(extractors)])
            for batch in self._batches(items, failed)
        ]
        self._note(chunk, IngestStage.DECODED)
        embedded: list[EmbeddedItem] = []
        for batch, futures in embedding:
            try:
                vectors = [future.result().vectors for future in futures]
            except RuntimeError as error:
                log.error("model_failed", job=chunk.ref.job_id, exc_info=error)
                failed += [_failed(each.item, Unavailable(f"the model failed: {error}")) for each in batch]
                continue
            embedded += [_packed(chunk, each, row, vectors) for row, each in enumerate(batch)]
        self._note(chunk, IngestStage.EMBEDDED)
        return embedded, failed

    def _batches(
        self, items: "Iterator[tuple[LeasedItem, Future[_Fetched]]]", failed: list[FailedItem]
    ) -> Iterator[list[_Decoded]]:
        batch: list[_Decoded] = []
        for item, fetching in items:
            try:
                fetched = fetching.result()
                pictures = tuple(future.result() for future in fetched.pictures)
            except PixvecError as error:
                failed.append(_failed(item, error))
                continue
            batch.append(_Decoded(item, fetched.content_hash, fetched.size_bytes, pictures))
            if len(batch) == self._batch_images:
                yield batch
                batch = []
        if batch:
            yield batch

    def _commit(
        self, chunk: LeasedChunk, embedded: Sequence[EmbeddedItem], failed: Sequence[FailedItem], *, last: bool
    ) -> None:
        with CHUNK_SECONDS.labels("commit").time():
            batches = self._catalogue.feed_writer.commit(chunk, embedded, failed)
        if last:
            self._leases.drop(chunk)
        self._pusher.push(batches)
        ENDED_ITEMS.labels("indexed").inc(len(embedded))
        ENDED_ITEMS.labels("failed").inc(len(failed))
        if last:
            log.info(
                "chunk_ended", job=chunk.ref.job_id, chunk=chunk.ref.chunk, indexed=len(embedded), failed=len(failed)
            )

    def _note(self, chunk: LeasedChunk, stage: IngestStage) -> None:
        try:
            self._catalogue.jobs.set_stage(chunk.ref, chunk.owner, stage)
        except Unavailable as error:
            log.info("stage_not_noted", error=error.message)


def _pixels(batch: Sequence[_Decoded], space: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.stack([each.pictures[space].pixels for each in batch])


def _packed(chunk: LeasedChunk, each: _Decoded, row: int, vectors: Sequence[Vectors]) -> EmbeddedItem:
    spaces = {
        space.name: (space, of_space[row]) for space, of_space in zip(chunk.collection.spaces, vectors, strict=True)
    }
    picture = each.pictures[0]
    return EmbeddedItem(
        item=each.item,
        record=encode_record(spaces, each.item.attributes),
        content_hash=each.content_hash,
        size_bytes=each.size_bytes,
        format=picture.format,
        width=picture.width,
        height=picture.height,
    )


def _failed(item: LeasedItem, error: PixvecError) -> FailedItem:
    name = f"{item.image_id} ({item.uri})" if item.uri else item.image_id
    return FailedItem(item, ItemError(error.reason, f"{name}: {error.message}", error.retryable))
