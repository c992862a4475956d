"""What the sweeper asks for: work that has gone silent."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.catalogue.postgres.database import Store, reading, transaction
from pixvec.catalogue.postgres.rows import job_key

_COUNT_OPEN = "SELECT coalesce(sum(open_items), 0) FROM job_chunks WHERE open_items > 0"
_PUBLISHED = """
UPDATE job_chunks c SET published_at = now()
FROM unnest(CAST(:job_ids AS uuid[]), CAST(:chunks AS integer[])) AS n(job_id, chunk)
WHERE c.job_id = n.job_id AND c.chunk = n.chunk AND c.open_items > 0
"""
_UNATTENDED = """
SELECT job_id, chunk FROM job_chunks
WHERE open_items > 0 AND published_at <= now() - make_interval(secs => :silent_s)
    AND (lease_expires IS NULL OR lease_expires <= now())
ORDER BY published_at, job_id, chunk LIMIT :limit
"""
_UNPLANNED = """
SELECT job_id FROM jobs
WHERE uri_prefix <> '' AND closed_at IS NULL AND active_at <= now() - make_interval(secs => :silent_s)
ORDER BY active_at LIMIT :limit
"""


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
    def unplanned(self, connection: Connection, silent_s: float, limit: int) -> list[str]:
        """Return ids of jobs still PLANNING whose planner has not added items for `silent_s` seconds."""
        rows = connection.execute(text(_UNPLANNED), {"silent_s": silent_s, "limit": limit})
        return [str(job_id) for job_id in rows.scalars()]
