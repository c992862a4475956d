"""Jobs as wholes: made, read, closed."""

import uuid
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.postgres.database import Database, Store, reading, transaction
from pixvec.catalogue.postgres.rows import job_key, to_error, to_training
from pixvec.catalogue.trainings import key_of_another_kind
from pixvec.domain import (
    IngestStage,
    ItemError,
    Job,
    JobKind,
    JobState,
    OnDuplicate,
    OnExisting,
    SeqToken,
    ShardPosition,
)
from pixvec.errors import CollectionNotFound, DatabaseUnavailable, JobNotFound

# FOR SHARE keeps the collection from being deleted in between.
_CREATE = """
INSERT INTO jobs (job_id, collection_id, on_existing, uri_prefix, idempotency_key, on_duplicate)
SELECT :job_id, collection_id, :on_existing, :uri_prefix, :idempotency_key, :on_duplicate FROM collections
WHERE collection_id = :collection_id AND deleted_at IS NULL FOR SHARE
ON CONFLICT (collection_id, idempotency_key) WHERE idempotency_key <> '' DO NOTHING RETURNING job_id
"""
_SAME_KEY = """
SELECT j.job_id, j.kind FROM jobs j JOIN collections c USING (collection_id)
WHERE collection_id = :collection_id AND idempotency_key = :idempotency_key AND c.deleted_at IS NULL
"""
# An ended job is read from its own row; the chunks of a running one are added up.
_SELECT = f"""
SELECT j.*, c.name, w.*, h.positions FROM jobs j JOIN collections c USING (collection_id)
LEFT JOIN LATERAL (
    SELECT coalesce(sum(size), 0) AS size_now, coalesce(sum(open_items), 0) AS open_now,
        coalesce(sum(k.indexed), 0) AS indexed_now, coalesce(sum(k.failed), 0) AS failed_now,
        coalesce(sum(open_items) FILTER (WHERE stage = {IngestStage.DECODED:d}), 0) AS decoded_now,
        coalesce(sum(open_items) FILTER (WHERE stage >= {IngestStage.EMBEDDED:d}), 0) AS embedded_now,
        max(k.ended_at) AS last_ended_at
    FROM job_chunks k WHERE k.job_id = j.job_id AND j.ended_at IS NULL
) w ON TRUE
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(shard, epoch, head_seq) ORDER BY shard) AS positions
    FROM shards s WHERE s.collection_id = j.collection_id AND s.head_seq > 0
) h ON TRUE
"""
_PAGE = f"""
{_SELECT} WHERE (CAST(:collection_id AS bigint) IS NULL OR j.collection_id = :collection_id)
AND (CAST(:before AS uuid) IS NULL
     OR (j.created_at, j.job_id) < (SELECT created_at, job_id FROM jobs WHERE job_id = CAST(:before AS uuid)))
ORDER BY j.created_at DESC, j.job_id DESC LIMIT :limit
"""
# Not by `ended_at` alone: the step that writes it may have been lost.
UNFINISHED = """ended_at IS NULL AND (closed_at IS NULL
    OR EXISTS (SELECT FROM job_chunks k WHERE k.job_id = jobs.job_id AND k.open_items > 0))"""
_CLOSE = f"""
UPDATE jobs SET closed_at = coalesce(closed_at, now()), reason = coalesce(reason, :reason),
    message = coalesce(message, :message),
    retryable = CASE WHEN reason IS NULL THEN coalesce(:retryable, FALSE) ELSE retryable END
WHERE job_id = :job_id AND {UNFINISHED}
"""
_SETTLE = """
UPDATE jobs j SET total = w.total, indexed = w.indexed, failed = w.failed,
    ended_at = greatest(j.closed_at, w.last_ended_at)
FROM (
    SELECT coalesce(sum(size), 0) AS total, coalesce(sum(open_items), 0) AS open, coalesce(sum(indexed), 0) AS indexed,
        coalesce(sum(failed), 0) AS failed, max(ended_at) AS last_ended_at
    FROM job_chunks WHERE job_id = :job_id
) w
WHERE j.job_id = :job_id AND j.kind = 'ingest' AND j.closed_at IS NOT NULL AND j.ended_at IS NULL AND w.open = 0
"""


class Lifecycle(Store):
    """The part of JobStore that is about whole jobs."""

    @transaction
    def create(
        self,
        connection: Connection,
        collection_id: int,
        on_existing: OnExisting,
        *,
        uri_prefix: str = "",
        idempotency_key: str = "",
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
    ) -> Job:
        """Create a job, or return the one that the same key made before. Raises CollectionNotFound, InvalidRequest."""
        values = {
            "job_id": uuid.uuid4(),
            "collection_id": collection_id,
            "on_existing": on_existing.value,
            "uri_prefix": uri_prefix,
            "idempotency_key": idempotency_key,
            "on_duplicate": on_duplicate.value,
        }
        job_id = connection.execute(text(_CREATE), values).scalar()
        if job_id is None:
            job_id = find_same_key(connection, collection_id, idempotency_key, JobKind.INGEST)
        if job_id is None:
            raise CollectionNotFound(f"collection {collection_id} has been deleted", field="collection")
        return select_job(connection, job_id)

    @reading
    def get(self, connection: Connection, job_id: str) -> Job:
        """Raises JobNotFound."""
        return select_job(connection, job_key(job_id))

    @reading
    def page(self, connection: Connection, collection_id: int | None, before_job_id: str, limit: int) -> list[Job]:
        """Return jobs, the newest first, those older than `before_job_id` if one is given."""
        before = job_key(before_job_id) if before_job_id else None
        values = {"collection_id": collection_id, "before": before, "limit": limit}
        return [to_job(row) for row in connection.execute(text(_PAGE), values)]

    @reading
    def planned(self, connection: Connection, job_id: str) -> tuple[str, int]:
        """Return the job's `uri_prefix` and the highest ordinal added so far, -1 for none."""
        statement = text("SELECT uri_prefix, max_ordinal FROM jobs WHERE job_id = :job_id")
        row = connection.execute(statement, {"job_id": job_key(job_id)}).one_or_none()
        if row is None:
            raise _not_found(job_id)
        return row.uri_prefix, row.max_ordinal

    def close(self, job_id: str, error: ItemError | None = None) -> None:
        """Say that no more items will be added, or that the job failed as a whole. It ends when its items have."""
        key = job_key(job_id)
        self._close(key, error)
        settle(self._database, key)

    @transaction
    def _close(self, connection: Connection, key: uuid.UUID, error: ItemError | None) -> None:
        values = {
            "job_id": key,
            "reason": error and error.reason,
            "message": error and error.message,
            "retryable": error and error.retryable,
        }
        if connection.execute(text(_CLOSE), values).rowcount == 0:
            select_job(connection, key)


def find_same_key(connection: Connection, collection_id: int, idempotency_key: str, kind: JobKind) -> uuid.UUID | None:
    """Return the job that a key made. Raises InvalidRequest when that is of another kind."""
    values = {"collection_id": collection_id, "idempotency_key": idempotency_key}
    before = connection.execute(text(_SAME_KEY), values).one_or_none() if idempotency_key else None
    if before is None:
        return None
    if before.kind != kind.value:
        raise key_of_another_kind()
    key: uuid.UUID = before.job_id
    return key


def settle(database: Database, job_id: uuid.UUID) -> None:
    """Write down that a closed job has ended, if its items have. Losing this step loses nothing: until it is done, the
    job is read from its chunks.

    To be called after the transaction that may have ended it: only then does the last of several see what the others
    did, and nobody who holds a chunk waits for its job.
    """
    with suppress(DatabaseUnavailable):
        database.run(lambda connection: connection.execute(text(_SETTLE), {"job_id": job_id}))


def to_job(row: Row[Any]) -> Job:
    """Read a row of the selection above."""
    done = row.closed_at is not None and row.open_now == 0
    ended_at = row.ended_at or (max(filter(None, (row.closed_at, row.last_ended_at))) if done else None)
    total, indexed, failed = row.total, row.indexed, row.failed
    is_training = row.kind == JobKind.TRAINING
    if row.ended_at is None and not is_training:
        total, indexed, failed = row.size_now, row.indexed_now, row.failed_now
    decoded = row.decoded if is_training else row.decoded_now
    error = to_error(row)
    return Job(
        job_id=str(row.job_id),
        collection_id=row.collection_id,
        collection=row.name,
        state=_state(row, ended_at is not None, error),
        total=int(total),
        queued=int(total - indexed - failed - decoded - row.embedded_now),
        decoded=int(decoded),
        embedded=int(row.embedded_now),
        indexed=int(indexed),
        failed=int(failed),
        created_at=row.created_at,
        ended_at=ended_at,
        error=error,
        token=SeqToken(tuple(ShardPosition(*position) for position in row.positions or ())),
        kind=JobKind(row.kind),
        training=to_training(row.training) if is_training else None,
    )


def _state(row: Row[Any], ended: bool, error: ItemError | None) -> JobState:
    if ended:
        return JobState.FAILED if error else JobState.COMPLETED
    return JobState.PLANNING if row.uri_prefix and row.closed_at is None else JobState.RUNNING


def select_job(connection: Connection, job_id: uuid.UUID) -> Job:
    """Return a job as it stands. Raises JobNotFound."""
    row = connection.execute(text(f"{_SELECT} WHERE j.job_id = :job_id"), {"job_id": job_id}).one_or_none()
    if row is None:
        raise _not_found(str(job_id))
    return to_job(row)


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(f"no job {job_id!r}: it may be of a deleted collection", field="job_id")
