"""Handing chunks of work to workers."""

from pixvec.catalogue.attempts import charged, exhausted, exhaustion, refunded
from pixvec.catalogue.interfaces import ChunkRef, LeasedChunk, LeasedItem
from pixvec.catalogue.memory.duplicates import succeed
from pixvec.catalogue.memory.ending import fail_item, finish_chunk
from pixvec.catalogue.memory.state import Chunk, Item, Store, locked
from pixvec.domain import IngestStage


class MemoryLeases(Store):
    """The part of JobStore that workers work with."""

    @locked
    def lease_chunk(self, ref: ChunkRef, owner: str, ttl_s: float) -> LeasedChunk | None:
        """Lease the open items of one chunk. Return None when nothing is left to do."""
        chunk = self._chunk(ref)
        if chunk is None or not self._is_free(chunk):
            return None
        return self._lease(ref, chunk, owner, ttl_s)

    @locked
    def lease_next(self, job_id: str, owner: str, ttl_s: float) -> LeasedChunk | None:
        """Lease the first chunk of the job that nobody works on."""
        job = self._state.jobs.get(job_id)
        for number in range(len(job.chunks) if job is not None else 0):
            leased = self.lease_chunk(ChunkRef(job_id, number), owner, ttl_s)
            if leased is not None:
                return leased
        return None

    @locked
    def renew(self, ref: ChunkRef, owner: str, ttl_s: float) -> bool:
        """Extend a lease. Return False when it has been lost."""
        chunk = self._owned(ref, owner)
        if chunk is None or not chunk.open_items:
            return False
        chunk.expires = self._state.clock() + ttl_s
        return True

    @locked
    def release(self, ref: ChunkRef, owner: str) -> None:
        """Give a lease back unused: its attempt is not counted."""
        chunk = self._owned(ref, owner)
        if chunk is not None:
            chunk.owner, chunk.expires, chunk.stage = None, 0.0, IngestStage.QUEUED
            items = chunk.open_items
            for place in refunded([item.attempt for item in items]):
                items[place].attempt -= 1

    @locked
    def put_off(self, ref: ChunkRef, owner: str, pause_s: float) -> None:
        """Give a lease back after an attempt that counts: nobody can lease the chunk for `pause_s` seconds."""
        chunk = self._owned(ref, owner)
        if chunk is not None:
            chunk.owner, chunk.expires, chunk.stage = None, self._state.clock() + pause_s, IngestStage.QUEUED

    @locked
    def set_stage(self, ref: ChunkRef, owner: str, stage: IngestStage) -> None:
        """Note how far a chunk has come as a whole."""
        chunk = self._owned(ref, owner)
        if chunk is not None:
            chunk.stage = stage

    def _chunk(self, ref: ChunkRef) -> Chunk | None:
        job = self._state.jobs.get(ref.job_id)
        return job.chunks[ref.chunk] if job is not None and 0 <= ref.chunk < len(job.chunks) else None

    def _is_free(self, chunk: Chunk) -> bool:
        return bool(chunk.open_items) and chunk.expires <= self._state.clock()

    def _owned(self, ref: ChunkRef, owner: str) -> Chunk | None:
        chunk = self._chunk(ref)
        return chunk if chunk is not None and chunk.owner == owner else None

    def _lease(self, ref: ChunkRef, chunk: Chunk, owner: str, ttl_s: float) -> LeasedChunk | None:
        job = self._state.jobs[ref.job_id]
        holding = self._state.holdings[job.collection_id]
        spent = [chunk.open_items[place] for place in exhausted([item.attempt for item in chunk.open_items])]
        for item in spent:
            fail_item(self._state, holding, item, exhaustion(item.image_id, item.uri))
        for heir in succeed(self._state, job.collection_id, {item.image_id for item in spent}):
            # As if somebody had begun it: its message does not wait in any queue.
            self._state.jobs[heir.job_id].chunks[heir.chunk].expires = self._state.clock()
        finish_chunk(self._state, job, ref.chunk)
        items = chunk.open_items
        if not items:
            return None
        for place in charged([item.attempt for item in items]):
            items[place].attempt += 1
        chunk.owner, chunk.expires, chunk.stage = owner, self._state.clock() + ttl_s, IngestStage.QUEUED
        return LeasedChunk(ref, owner, holding.collection, tuple(map(_to_leased, items)), job.on_duplicate)


def _to_leased(item: Item) -> LeasedItem:
    return LeasedItem(
        ordinal=item.ordinal,
        image_id=item.image_id,
        generation=item.generation,
        attempt=item.attempt,
        attributes=item.attributes,
        content_hash=item.content_hash,
        uri=item.uri,
    )
