"""What the sweeper asks for: work that has gone silent, jobs that nobody comes back to."""

import uuid
from collections.abc import Sequence

from sqlalchemy import Connection, text

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.catalogue.postgres.database import Store, reading, transaction
from pixvec.catalogue.postgres.jobs.lifecycle import settle
from pixvec.catalogue.postgres.rows import job_key

_COUNT_OPEN = "SELECT coalesce(sum(open_items), 0) FROM job_chunks WHERE open_items > 0"
_PUBLISHED = """
UPDATE job_chunks c SET published_at = now()
FROM unnest(CAST(:job_ids AS uuid[]), CAST(:chunks AS integer[])) AS n(job_id, chunk)
WHERE c.job_id = n.job_id AND c.chunk = n.chunk AND c.open_items > 0
"""
_SILENT = """
SELECT job_id, chunk FROM job_chunks
WHERE open_items > 0 AND published_at <= now() - make_interval(secs => :silent_s) AND {lease}
ORDER BY published_at, job_id, chunk LIMIT :limit
"""
_UNATTENDED = _SILENT.format(lease="(lease_expires IS NULL OR lease_expires <= now())")
_DESERTED = _SILENT.format(lease="lease_expires <= now()")
_UNPLANNED = """
SELECT job_id FROM jobs
WHERE uri_prefix <> '' AND closed_at IS NULL AND active_at <= now() - make_interval(secs => :silent_s)
ORDER BY active_at LIMIT :limit
"""
# Passing over rows that are locked: whoever locks one adds items, or closes the job.
_TOUCH = """
UPDATE jobs SET active_at = now() WHERE job_id = ANY(ARRAY(
    SELECT job_id FROM jobs WHERE job_id = ANY(CAST(:job_ids AS uuid[])) AND closed_at IS NULL
    FOR NO KEY UPDATE SKIP LOCKED))
"""
_CLOSE_ABANDONED = """
UPDATE jobs SET closed_at = now() WHERE job_id = ANY(ARRAY(
    SELECT job_id FROM jobs j
    WHERE uri_prefix = '' AND kind = 'ingest' AND closed_at IS NULL
        AND active_at <= now() - make_interval(secs => :silent_s)
        AND NOT EXISTS (SELECT FROM job_chunks k WHERE k.job_id = j.job_id AND k.open_items > 0)
    ORDER BY active_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED))
RETURNING job_id
"""
# By `created_at` first, as an index has it. Not by `ended_at`: the step that writes it may have been lost.
_LOCK_OLD = """
SELECT job_id FROM jobs j
WHERE created_at <= now() - make_interval(secs => :age_s) AND closed_at <= now() - make_interval(secs => :age_s)
    AND NOT EXISTS (SELECT FROM job_chunks k WHERE k.job_id = j.job_id
        AND (k.open_items > 0 OR k.ended_at > now() - make_interval(secs => :age_s)))
ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_CHILDREN_FIRST = ("job_items", "job_chunks", "jobs")


class Upkeep(Store):
    """The part of JobStore that keeps work from being forgotten."""

    @reading
    def count_open_items(self, connection: Connection) -> int:
        """Return how many items of all jobs await work, for pushing back on writers."""
        return int(connection.execute(text(_COUNT_OPEN)).scalar_one())

    @transaction
    def mark_published(self, connection: Connection, refs: Sequence[ChunkRef]) -> None:
        """Note that a queue message was just sent for these chunks."""
        if refs:
            ordered = sorted(refs, key=lambda ref: (ref.job_id, ref.chunk))
            values = {"job_ids": [job_key(ref.job_id) for ref in ordered], "chunks": [ref.chunk for ref in ordered]}
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            connection.execute(text(_PUBLISHED), values)

    @reading
    def unattended(self, connection: Connection, silent_s: float, limit: int) -> list[ChunkRef]:
        """Return chunks with open items, no live lease and no message sent for `silent_s` seconds, the oldest first."""
        rows = connection.execute(text(_UNATTENDED), {"silent_s": silent_s, "limit": limit})
        return [ChunkRef(str(row.job_id), row.chunk) for row in rows]

    @reading
    def deserted(self, connection: Connection, silent_s: float, limit: int) -> list[ChunkRef]:
        """Return those chunks of `unattended` whose lease has expired, or that came of giving up an original."""
        rows = connection.execute(text(_DESERTED), {"silent_s": silent_s, "limit": limit})
        return [ChunkRef(str(row.job_id), row.chunk) for row in rows]

    @reading
    def unplanned(self, connection: Connection, silent_s: float, limit: int) -> list[str]:
        """Return ids of jobs still PLANNING that nobody added to or touched for `silent_s` seconds."""
        rows = connection.execute(text(_UNPLANNED), {"silent_s": silent_s, "limit": limit})
        return [str(job_id) for job_id in rows.scalars()]

    @transaction
    def touch(self, connection: Connection, job_ids: Sequence[str]) -> None:
        """Note that these jobs are being looked after, without waiting for the disk."""
        if job_ids:
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            connection.execute(text(_TOUCH), {"job_ids": list(map(job_key, job_ids))})

    def close_abandoned(self, silent_s: float, limit: int) -> list[str]:
        """Close streaming jobs without open items that nobody added to or touched for `silent_s` seconds."""
        closed = self._close_abandoned(silent_s, limit)
        for job_id in closed:
            settle(self._database, job_id)
        return list(map(str, closed))

    @transaction
    def _close_abandoned(self, connection: Connection, silent_s: float, limit: int) -> list[uuid.UUID]:
        rows = connection.execute(text(_CLOSE_ABANDONED), {"silent_s": silent_s, "limit": limit})
        return list(rows.scalars())

    @transaction
    def prune(self, connection: Connection, age_s: float, limit: int) -> int:
        """Remove up to `limit` rows of jobs that ended `age_s` seconds ago or earlier. Return how many were removed."""
        job_ids = list(connection.execute(text(_LOCK_OLD), {"age_s": age_s, "limit": limit}).scalars())
        removed = 0
        for table in _CHILDREN_FIRST if job_ids else ():
            if removed < limit:
                values = {"job_ids": job_ids, "limit": limit - removed}
                removed += connection.execute(text(_delete_from(table)), values).rowcount
        return removed


def _delete_from(table: str) -> str:
    chosen = f"SELECT ctid FROM {table} WHERE job_id = ANY(CAST(:job_ids AS uuid[])) LIMIT :limit"
    return f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({chosen}))"
