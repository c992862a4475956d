"""How chunks and items stand."""

from collections.abc import Collection as AbstractCollection

from sqlalchemy import Connection, text

from pixvec.catalogue.interfaces import ChunkProgress, ItemStatus
from pixvec.catalogue.postgres.database import Store, reading
from pixvec.catalogue.postgres.rows import ITEM_COLUMNS, ITEM_TABLES, job_key, to_status
from pixvec.domain import IngestStage

_PROGRESS = "SELECT chunk, stage, open_items = 0 AS ended FROM job_chunks WHERE job_id = :job_id"
_NAMED = f"{_PROGRESS} AND chunk = ANY(CAST(:chunks AS integer[])) ORDER BY chunk"
_OPEN = f"{_PROGRESS} AND open_items > 0 ORDER BY chunk"
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
        self, connection: Connection, job_id: str, chunks: AbstractCollection[int] | None = None
    ) -> list[ChunkProgress]:
        """Return how the named chunks stand, or those that have not ended where none are named."""
        values = {"job_id": job_key(job_id), "chunks": list(chunks or ())}
        rows = connection.execute(text(_OPEN if chunks is None else _NAMED), values)
        return [
            ChunkProgress(row.chunk, IngestStage.INDEXED if row.ended else IngestStage(row.stage), row.ended)
            for row in rows
        ]

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
