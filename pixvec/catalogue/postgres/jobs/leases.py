"""Handing chunks of work to workers. All times are the database's."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.attempts import charged, exhausted, exhaustion, refunded
from pixvec.catalogue.interfaces import ChunkRef, LeasedChunk, LeasedItem
from pixvec.catalogue.postgres.database import Store, transaction
from pixvec.catalogue.postgres.ending import Ending, end_items, lock_images, mark_images_failed
from pixvec.catalogue.postgres.jobs.lifecycle import settle
from pixvec.catalogue.postgres.rows import COLLECTION_COLUMNS, job_key, to_collection
from pixvec.catalogue.postgres.succession import succeed
from pixvec.domain import IngestStage, OnDuplicate

_FREE = "open_items > 0 AND (lease_expires IS NULL OR lease_expires <= now())"
_LOCK_ONE = f"SELECT chunk FROM job_chunks WHERE job_id = :job_id AND chunk = :chunk AND {_FREE} FOR NO KEY UPDATE"
_LOCK_NEXT = f"""
SELECT chunk FROM job_chunks WHERE job_id = :job_id AND {_FREE} ORDER BY chunk LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""
_OPEN_ITEMS = """
SELECT ordinal, image_id, generation, attempt, attributes, content_hash, uri FROM job_items
WHERE job_id = :job_id AND chunk = :chunk AND state = 'open' ORDER BY ordinal
"""
_CHARGE = """
UPDATE job_items SET attempt = attempt + :change WHERE job_id = :job_id AND ordinal = ANY(CAST(:ordinals AS bigint[]))
"""
_TAKE = """
UPDATE job_chunks SET lease_owner = :owner, lease_expires = now() + make_interval(secs => :ttl_s), stage = :stage
WHERE job_id = :job_id AND chunk = :chunk
"""
_OWNED = "job_id = :job_id AND chunk = :chunk AND lease_owner = :owner"
_RENEW = f"""
UPDATE job_chunks SET lease_expires = now() + make_interval(secs => :ttl_s) WHERE {_OWNED} AND open_items > 0
"""
_LET_GO = f"UPDATE job_chunks SET lease_owner = NULL, lease_expires = NULL, stage = :stage WHERE {_OWNED}"
# A lease of nobody's: it runs out like any other.
_PUT_OFF = f"""
UPDATE job_chunks SET lease_owner = NULL, lease_expires = now() + make_interval(secs => :pause_s), stage = :stage
WHERE {_OWNED}
"""
# As if somebody had begun them: their message does not wait in any queue.
_LEAVE_TO_SWEEPER = "UPDATE job_chunks SET lease_expires = now() WHERE job_id = ANY(CAST(:job_ids AS uuid[]))"
_SET_STAGE = f"UPDATE job_chunks SET stage = :stage WHERE {_OWNED} AND open_items > 0"
_COLLECTION = f"""
SELECT {COLLECTION_COLUMNS}, j.on_duplicate FROM jobs j JOIN collections c USING (collection_id)
WHERE j.job_id = :job_id
"""


class Leases(Store):
    """The part of JobStore that workers work with."""

    def lease_chunk(self, ref: ChunkRef, owner: str, ttl_s: float) -> LeasedChunk | None:
        """Lease the open items of one chunk. Return None when nothing is left to do."""
        _, leased = self._lease_free(_LOCK_ONE, ref.job_id, ref.chunk, owner, ttl_s)
        return leased

    def lease_next(self, job_id: str, owner: str, ttl_s: float) -> LeasedChunk | None:
        """Lease the first chunk of the job that nobody works on, passing over those that another worker locks."""
        found, leased = True, None
        while found and leased is None:
            found, leased = self._lease_free(_LOCK_NEXT, job_id, None, owner, ttl_s)
        return leased

    def _lease_free(
        self, lock: str, job_id: str, chunk: int | None, owner: str, ttl_s: float
    ) -> tuple[bool, LeasedChunk | None]:
        """Return whether `lock` found a chunk that is free, and the lease, None if all its items had to be given up."""
        found, leased = self._lock_and_lease(lock, job_id, chunk, owner, ttl_s)
        if found and leased is None:
            settle(self._database, job_key(job_id))
        return found, leased

    @transaction
    def _lock_and_lease(
        self, connection: Connection, lock: str, job_id: str, chunk: int | None, owner: str, ttl_s: float
    ) -> tuple[bool, LeasedChunk | None]:
        number = connection.execute(text(lock), {"job_id": job_key(job_id), "chunk": chunk}).scalar()
        if number is None:
            return False, None
        return True, _lease(connection, ChunkRef(job_id, number), owner, ttl_s)

    @transaction
    def renew(self, connection: Connection, ref: ChunkRef, owner: str, ttl_s: float) -> bool:
        """Extend a lease. Return False when it has been lost."""
        return connection.execute(text(_RENEW), _key(ref) | {"owner": owner, "ttl_s": ttl_s}).rowcount == 1

    @transaction
    def release(self, connection: Connection, ref: ChunkRef, owner: str) -> None:
        """Give a lease back unused: its attempt is not counted."""
        values = _key(ref) | {"owner": owner, "stage": IngestStage.QUEUED}
        if connection.execute(text(_LET_GO), values).rowcount == 1:
            items = connection.execute(text(_OPEN_ITEMS), values).all()
            places = refunded([item.attempt for item in items])
            _change_attempts(connection, ref, [items[place] for place in places], -1)

    @transaction
    def put_off(self, connection: Connection, ref: ChunkRef, owner: str, pause_s: float) -> None:
        """Give a lease back after an attempt that counts: nobody can lease the chunk for `pause_s` seconds."""
        values = {"owner": owner, "pause_s": pause_s, "stage": IngestStage.QUEUED}
        connection.execute(text(_PUT_OFF), _key(ref) | values)

    @transaction
    def set_stage(self, connection: Connection, ref: ChunkRef, owner: str, stage: IngestStage) -> None:
        """Note how far a chunk has come as a whole, without waiting for the disk."""
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        connection.execute(text(_SET_STAGE), _key(ref) | {"owner": owner, "stage": stage})


def _key(ref: ChunkRef) -> dict[str, Any]:
    return {"job_id": job_key(ref.job_id), "chunk": ref.chunk}


def _lease(connection: Connection, ref: ChunkRef, owner: str, ttl_s: float) -> LeasedChunk | None:
    """Lease a chunk whose row is locked."""
    row = connection.execute(text(_COLLECTION), _key(ref)).one()
    collection = to_collection(row)
    items = _give_up_exhausted(connection, collection.collection_id, ref)
    if not items:
        return None
    charging = {items[place].ordinal for place in charged([item.attempt for item in items])}
    _change_attempts(connection, ref, [item for item in items if item.ordinal in charging], 1)
    connection.execute(text(_TAKE), _key(ref) | {"owner": owner, "ttl_s": ttl_s, "stage": IngestStage.QUEUED})
    leased = (
        LeasedItem(
            ordinal=item.ordinal,
            image_id=item.image_id,
            generation=item.generation,
            attempt=item.attempt + (item.ordinal in charging),
            attributes=item.attributes,
            content_hash=item.content_hash,
            uri=item.uri,
        )
        for item in items
    )
    return LeasedChunk(ref, owner, collection, tuple(leased), OnDuplicate(row.on_duplicate))


def _give_up_exhausted(connection: Connection, collection_id: int, ref: ChunkRef) -> list[Row[Any]]:
    """End the open items that have had every attempt, and return the others."""
    items = list(connection.execute(text(_OPEN_ITEMS), _key(ref)))
    spent = [items[place] for place in exhausted([item.attempt for item in items])]
    if spent:
        endings = [
            Ending(item.ordinal, item.image_id, item.generation, exhaustion(item.image_id, item.uri)) for item in spent
        ]
        lock_images(connection, collection_id, [item.image_id for item in spent])
        mark_images_failed(connection, collection_id, endings)
        end_items(connection, ref, endings)
        heirs = succeed(connection, collection_id, {item.image_id for item in spent})
        connection.execute(text(_LEAVE_TO_SWEEPER), {"job_ids": [job_key(heir.job_id) for heir in heirs]})
    return [item for item in items if item not in spent]


def _change_attempts(connection: Connection, ref: ChunkRef, items: Sequence[Row[Any]], change: int) -> None:
    if items:
        ordinals = [item.ordinal for item in items]
        connection.execute(text(_CHARGE), _key(ref) | {"ordinals": ordinals, "change": change})
