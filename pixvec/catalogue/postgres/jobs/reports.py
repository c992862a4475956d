"""How chunks and items stand."""

from collections import defaultdict
from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.interfaces import ChunkProgress, ItemStatus
from pixvec.catalogue.postgres.database import Store, reading
from pixvec.catalogue.postgres.rows import ITEM_COLUMNS, ITEM_TABLES, job_key, to_status
from pixvec.domain import IngestStage

_PROGRESS = """
SELECT job_id, chunk, stage, open_items
FROM unnest(CAST(:job_ids AS uuid[]), CAST(:chunks AS integer[])) AS n(job_id, chunk)
JOIN job_chunks USING (job_id, chunk) ORDER BY job_id, chunk
"""
_OPEN = "SELECT chunk, stage, open_items FROM job_chunks WHERE job_id = :job_id AND open_items > 0 ORDER BY chunk"
_STATUSES = f"SELECT {ITEM_COLUMNS} FROM {ITEM_TABLES} WHERE i.job_id = :job_id"
_FAILED = f"{_STATUSES} AND i.ordinal > :after AND i.state = 'failed' ORDER BY i.ordinal LIMIT :limit"
# Items left open by the end of their job failed with it.
_ABANDONED = f"""
{_STATUSES} AND i.ordinal > :after AND i.state = 'open' AND j.ended_at IS NOT NULL AND j.reason IS NOT NULL
ORDER BY i.ordinal LIMIT :limit
"""


class Reports(Store):
    """The part of JobStore that tells how things stand."""

    @reading
    def progress(
        self, connection: Connection, chunks: Mapping[str, AbstractCollection[int]]
    ) -> dict[str, list[ChunkProgress]]:
        """Return how the named chunks of any number of jobs stand, by job."""
        named = [(job_key(job_id), chunk) for job_id, numbers in chunks.items() for chunk in numbers]
        values = {"job_ids": [job_id for job_id, _ in named], "chunks": [chunk for _, chunk in named]}
        found: dict[str, list[ChunkProgress]] = defaultdict(list)
        for row in connection.execute(text(_PROGRESS), values):
            found[str(row.job_id)].append(_to_progress(row))
        return dict(found)

    @reading
    def open_chunks(self, connection: Connection, job_id: str) -> list[ChunkProgress]:
        """Return how those chunks of a job stand that have not ended."""
        return [_to_progress(row) for row in connection.execute(text(_OPEN), {"job_id": job_key(job_id)})]

    @reading
    def statuses(
        self, connection: Connection, job_id: str, chunks: AbstractCollection[int] | None = None
    ) -> list[ItemStatus]:
        """Return how the items of those chunks stand, or of every chunk, by ordinal."""
        among = "" if chunks is None else "AND i.chunk = ANY(CAST(:chunks AS integer[]))"
        values = {"job_id": job_key(job_id)} | ({} if chunks is None else {"chunks": list(chunks)})
        return [to_status(row) for row in connection.execute(text(f"{_STATUSES} {among} ORDER BY i.ordinal"), values)]

    @reading
    def failures(
        self, connection: Connection, job_id: str, after_ordinal: int, limit: int
    ) -> list[tuple[ItemStatus, str]]:
        """Return failed items above `after_ordinal` with their URIs, by ordinal."""
        values = {"job_id": job_key(job_id), "after": after_ordinal, "limit": limit}
        rows = [*connection.execute(text(_FAILED), values), *connection.execute(text(_ABANDONED), values)]
        return [(to_status(row), row.uri) for row in sorted(rows, key=lambda row: int(row.ordinal))[:limit]]


def _to_progress(row: Row[Any]) -> ChunkProgress:
    return ChunkProgress(row.chunk, IngestStage(row.stage) if row.open_items else IngestStage.INDEXED, row.open_items)
