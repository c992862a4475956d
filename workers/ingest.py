"""Takes chunks of pictures in: fetch, decode, embed, commit, push. The next chunk is decoded while one is embedded."""

import functools
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.attempts import pause_s
from pixvec.catalogue.feed import FeedBatch
from pixvec.catalogue.interfaces import Catalogue, ChunkRef, EmbeddedItem, FailedItem, LeasedChunk, LeasedItem
from pixvec.domain import IngestStage
from pixvec.errors import Unavailable
from pixvec.jobs.queue import ChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.rpc.pusher import Pusher
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import CHUNK_SECONDS, ENDED_ITEMS
from workers.batcher import Batcher
from workers.decode_pool import Decoder
from workers.embedding import Embedding, embedded_items
from workers.fetching import Fetched, Fetcher
from workers.leases import LeaseKeeper
from workers.model_host import ModelHost
from workers.space_models import Filling, SpaceModel, models_of
from workers.troubles import Troubles

log = get_logger(__name__)

_T = TypeVar("_T")

# A drain ends here, so that jobs take turns and Celery's limits hold.
DRAIN_S = 30.0
# From here on what has not begun is given back: of a slow detector a chunk takes longer than Celery lets a task run.
LATE_S = 300.0
# How long a picture that does not come may keep a worker from noticing that it is to stop.
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class _Begun:
    """A leased chunk whose pictures are being fetched and decoded."""

    chunk: LeasedChunk
    models: tuple[SpaceModel, ...]
    fetched: "tuple[Future[Fetched], ...]"


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
        self._queue = queue
        self._pusher = pusher
        self._host = host
        self._fetcher = Fetcher(blobs, sources, decoder)
        self._embedding = Embedding(batcher, batch_images)
        self._leases = leases
        self._owner = owner
        self._lease_s = lease_s
        self._committing = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._late_at = math.inf
        self.stopping = False

    def run(self, ref: ChunkRef) -> None:
        """Work on this chunk, then on others of its job until none is free, the drain has lasted long enough, or `stop`
        is called: what is then left goes to whoever takes the next message.

        Raises Unavailable when the database goes away; the leases then run out, kept by nobody.
        """
        leased: list[LeasedChunk] = []
        commits: list[Future[None]] = []
        stop_at = time.monotonic() + DRAIN_S
        self._late_at = time.monotonic() + LATE_S
        try:
            self._drain(ref, stop_at, leased, commits)
        finally:
            wait(commits)
            for chunk in leased:
                self._leases.drop(chunk)
        for commit in commits:
            commit.result()
        if not self._goes_on(stop_at):
            self._hand_on(ref.job_id)

    def stop(self) -> None:
        """Begin nothing more, and give back what has not begun. Returns at once; a signal handler may call it."""
        self.stopping = True

    def _drain(self, ref: ChunkRef, stop_at: float, leased: list[LeasedChunk], commits: "list[Future[None]]") -> None:
        if self.stopping:
            return
        begun = self._begin(self._catalogue.jobs.lease_chunk(ref, self._owner, self._lease_s), leased)
        while begun is not None:
            more = self._goes_on(stop_at)
            following = self._begin(self._lease_next(ref.job_id), leased) if more else None
            commits += self._work(begun)
            begun = following

    def _goes_on(self, stop_at: float) -> bool:
        return not self.stopping and time.monotonic() < stop_at

    @property
    def _gives_back(self) -> bool:
        """Whether what has not begun is to go to somebody else, or to this worker's next task."""
        return not self._goes_on(self._late_at)

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
            models = models_of(chunk.collection, self._host)
        except Exception as error:  # noqa: BLE001  # whatever loading a model raises is told of the chunk's items
            troubles = Troubles()
            troubles.note(chunk.items, error)
            self._close(chunk, [], troubles)
            return _Begun(chunk, (), ())
        # From the second attempt on an item is alone in the works: it may be the one that took a worker down.
        eager = chunk.items if chunk.items[0].attempt < 2 else ()
        return _Begun(chunk, models, tuple(self._fetcher.begin(item, models) for item in eager))

    def _work(self, begun: _Begun) -> "list[Future[None]]":
        """Embed what `_begin` began; return the commits under way."""
        if not begun.models:
            return []
        if not begun.fetched:
            self._work_one_by_one(begun)
            return []
        troubles = Troubles()
        with CHUNK_SECONDS.labels("embed").time():
            work = zip(begun.chunk.items, begun.fetched, strict=True)
            embedded = self._embed(begun, self._while_wanted(begun.chunk, work), troubles)
        for fetching in begun.fetched:
            fetching.cancel()
        return [self._committing.submit(self._close, begun.chunk, embedded, troubles)]

    def _work_one_by_one(self, begun: _Begun) -> None:
        """Embed and commit each item for itself, up to the first that has to be left open: were a later one to take
        this worker down, that one would be charged with it."""
        troubles = Troubles()
        for item in self._while_wanted(begun.chunk, begun.chunk.items):
            fetching = self._fetcher.begin(item, begun.models)
            embedded = self._embed(begun, iter([(item, fetching)]), troubles)
            self._push(self._commit(begun.chunk, embedded, troubles.take_failed()))
            if troubles.left:
                break
        self._close(begun.chunk, [], troubles)

    def _while_wanted(self, chunk: LeasedChunk, work: Iterable[_T]) -> Iterator[_T]:
        """Pass on work of a chunk until its lease turns out to be lost, this worker is to stop or it has become late:
        another does the rest."""
        return itertools.takewhile(lambda _: not self._gives_back and self._leases.holds(chunk), work)

    def _arrives(self, fetching: "Future[Fetched]") -> bool:
        """Wait for a picture's bytes. Return False if they do not come before this worker is to stop."""
        while not wait((fetching,), _LOOK_S).done:
            if self.stopping:
                return False
        return True

    def _embed(
        self, begun: _Begun, items: "Iterator[tuple[LeasedItem, Future[Fetched]]]", troubles: Troubles
    ) -> list[EmbeddedItem]:
        """Return what became vectors; what did not is noted in `troubles`."""
        chunk = begun.chunk
        arriving = itertools.takewhile(lambda each: self._arrives(each[1]), items)
        batches = self._embedding.submit(arriving, begun.models, troubles)
        self._reached(chunk, IngestStage.DECODED, troubles, sum(len(batch.pictures) for batch in batches))
        queued = [filling for batch in batches for of_space in batch.spaces for filling in of_space]
        comes = functools.partial(self._comes, queued)
        embedded = [each for batch in batches for each in embedded_items(chunk, batch, troubles, comes)]
        self._reached(chunk, IngestStage.EMBEDDED, troubles, len(embedded))
        return embedded

    def _comes(self, queued: Sequence[Filling], filling: Filling) -> bool:
        """Wait for a model. Return False for what it had not begun, of what may take long, when that was to be given
        back."""
        while not (filling.passing.cancelled() or wait((filling.passing,), _LOOK_S).done):
            for each in queued if self._gives_back else ():
                if each.may_be_given_up:
                    each.passing.cancel()
        return not filling.passing.cancelled()

    def _reached(self, chunk: LeasedChunk, stage: IngestStage, troubles: Troubles, items: int) -> None:
        """Note that the chunk's items reached a stage, once those that will not have failed: whoever waits for the
        stage takes it for that of every item that is still open."""
        self._commit(chunk, [], troubles.take_failed())
        if not troubles.left and items + troubles.failures == len(chunk.items):
            self._note(chunk, stage)

    def _close(self, chunk: LeasedChunk, embedded: Sequence[EmbeddedItem], troubles: Troubles) -> None:
        """Commit, and let go of the chunk: no more is to be done about it now."""
        kept = self._leases.holds(chunk)
        batches = self._commit(chunk, embedded, troubles.take_failed())
        if kept:
            self._leases.drop(chunk)
            self._end(chunk, troubles)
        self._push(batches)

    def _commit(
        self, chunk: LeasedChunk, embedded: Sequence[EmbeddedItem], failed: Sequence[FailedItem]
    ) -> Sequence[FeedBatch]:
        if not embedded and not failed:
            return ()
        with CHUNK_SECONDS.labels("commit").time():
            committed = self._catalogue.feed_writer.commit(chunk, embedded, failed)
        ENDED_ITEMS.labels("indexed").inc(len(embedded))
        ENDED_ITEMS.labels("failed").inc(len(failed))
        self._publish(committed.chunks)
        return committed.batches

    def _publish(self, chunks: Sequence[ChunkRef]) -> None:
        """Say that a commit made work. Where the broker is away the sweeper will."""
        if chunks:
            try:
                self._queue.publish(chunks)
            except Unavailable as error:
                log.info("chunks_not_published", chunks=len(chunks), error=error.message)

    def _push(self, batches: Sequence[FeedBatch]) -> None:
        if batches:
            self._pusher.push(batches)

    def _end(self, chunk: LeasedChunk, troubles: Troubles) -> None:
        said = {"job": chunk.ref.job_id, "chunk": chunk.ref.chunk, "failed": troubles.failures}
        if self._gives_back:
            # Nothing happens to one that has ended.
            self._catalogue.jobs.release(chunk.ref, self._owner)
            log.info("chunk_released", **said)
            return
        if not troubles.left:
            log.info("chunk_ended", indexed=len(chunk.items) - troubles.failures, **said)
            return
        rest_s = pause_s(troubles.left[0].attempt)
        self._catalogue.jobs.put_off(chunk.ref, self._owner, rest_s)
        log.warning("chunk_put_off", left=len(troubles.left), pause_s=rest_s, error=troubles.cause, **said)

    def _note(self, chunk: LeasedChunk, stage: IngestStage) -> None:
        try:
            self._catalogue.jobs.set_stage(chunk.ref, chunk.owner, stage)
        except Unavailable as error:
            log.info("stage_not_noted", error=error.message)
