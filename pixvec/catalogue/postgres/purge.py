"""Freeing the rows of deleted collections, a bounded number at a time."""

from sqlalchemy import Connection, text

# Children before parents. What another transaction holds is left for the next round, with its parent.
_OF_COLLECTION = ("images", "regions", "feed", "placements", "shards", "jobs")
_OF_JOB = ("job_items", "job_chunks")
_CHILDREN = {
    "jobs": "SELECT FROM job_chunks k WHERE k.job_id = jobs.job_id",
    "shards": "SELECT FROM placements p WHERE (p.collection_id, p.shard) = (shards.collection_id, shards.shard)",
}
_DELETED = "SELECT collection_id FROM collections WHERE deleted_at IS NOT NULL"
_LAST = f"""
DELETE FROM collections WHERE collection_id IN ({_DELETED} LIMIT :limit)
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.collection_id = collections.collection_id)
    AND NOT EXISTS (SELECT FROM shards s WHERE s.collection_id = collections.collection_id)
"""


def purge(connection: Connection, limit: int) -> int:
    """Remove up to `limit` rows; return how many. 0 means nothing is left."""
    if connection.execute(text(f"{_DELETED} LIMIT 1")).scalar() is None:
        return 0
    removed = 0
    for table in (*_OF_JOB, *_OF_COLLECTION):
        if removed < limit:
            removed += connection.execute(text(_delete_from(table)), {"limit": limit - removed}).rowcount
    if removed < limit:
        removed += connection.execute(text(_LAST), {"limit": limit - removed}).rowcount
    return removed


def _delete_from(table: str) -> str:
    jobs = f"SELECT job_id FROM jobs WHERE collection_id IN ({_DELETED})"
    owned = f"job_id IN ({jobs})" if table in _OF_JOB else f"collection_id IN ({_DELETED})"
    childless = f"AND NOT EXISTS ({_CHILDREN[table]})" if table in _CHILDREN else ""
    chosen = f"SELECT ctid FROM {table} WHERE {owned} {childless} LIMIT :limit FOR UPDATE SKIP LOCKED"
    return f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({chosen}))"
