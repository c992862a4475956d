"""Duplicates whose original is gone: the oldest takes its place."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.acceptance import Decision, Verdict
from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.catalogue.postgres.duplicates import near
from pixvec.catalogue.postgres.jobs.acceptance import insert_items
from pixvec.domain import OnDuplicate, OnExisting

_ITEMS_PER_CHUNK = 64
_LOCK_LINKS = """
SELECT count(*) FROM (
    SELECT image_id FROM images WHERE collection_id = :collection_id AND duplicate_of = ANY(:image_ids)
    ORDER BY image_id FOR NO KEY UPDATE
) held
"""
_HOLD_NEXT = """
SELECT image_id FROM images
WHERE collection_id = :collection_id AND live_generation IS NOT NULL AND image_id = ANY(ARRAY(
    SELECT duplicate_of FROM images
    WHERE collection_id = :collection_id AND image_id = ANY(:image_ids) AND duplicate_of IS NOT NULL))
ORDER BY image_id FOR SHARE
"""
_PASS_ON = f"""
UPDATE images l SET duplicate_of = o.image_id
FROM images p JOIN images o ON o.collection_id = p.collection_id AND o.image_id = p.duplicate_of
WHERE l.collection_id = :collection_id AND l.duplicate_of = ANY(:image_ids) AND p.collection_id = :collection_id
    AND p.image_id = l.duplicate_of AND o.live_generation IS NOT NULL AND {near("l", "o")}
"""
_ORPHANS = f"""
FROM images l LEFT JOIN images o ON o.collection_id = l.collection_id AND o.image_id = l.duplicate_of
WHERE l.collection_id = :collection_id AND l.duplicate_of = ANY(:image_ids)
    AND CASE WHEN o.live_generation IS NULL THEN coalesce(o.pending = '{{}}', TRUE) ELSE NOT {near("l", "o")} END
"""
_HEIRS = f"""
SELECT DISTINCT ON (l.duplicate_of) l.duplicate_of AS original, l.image_id, l.content_hash, l.size_bytes, l.attributes
{_ORPHANS} ORDER BY l.duplicate_of, l.created_at, l.image_id
"""
_RELINK = f"""
UPDATE images m SET duplicate_of = n.heir
FROM (SELECT l.image_id, l.duplicate_of {_ORPHANS}) s
JOIN unnest(CAST(:originals AS text[]), CAST(:heirs AS text[])) AS n(original, heir) ON n.original = s.duplicate_of
WHERE m.collection_id = :collection_id AND m.image_id = s.image_id AND m.image_id <> n.heir
"""
# A newer version of its own comes after this one.
_INHERIT = """
UPDATE images SET duplicate_of = NULL, pending = nextval('image_generation') || pending, updated_at = now()
WHERE collection_id = :collection_id AND image_id = ANY(:image_ids) RETURNING image_id, pending[1] AS generation
"""
# Only what links makes links: such a one may be a duplicate of what came while there was no original.
_CREATE_JOB = """
INSERT INTO jobs (job_id, collection_id, on_existing, on_duplicate, closed_at)
VALUES (:job_id, :collection_id, :on_existing, :on_duplicate, now()) RETURNING *
"""


def succeed(connection: Connection, collection_id: int, image_ids: Collection[str]) -> list[ChunkRef]:
    """Give the duplicates of those images that are gone, or are another picture now, a new original: that of an image
    which is a duplicate itself now, or else the oldest of them, which is taken in anew. Return the work that makes."""
    values: dict[str, Any] = {"collection_id": collection_id, "image_ids": list(image_ids)}
    if not image_ids or not connection.execute(text(_LOCK_LINKS), values).scalar():
        return []
    if connection.execute(text(_HOLD_NEXT), values).all():
        connection.execute(text(_PASS_ON), values)
    heirs = sorted(connection.execute(text(_HEIRS), values), key=lambda heir: heir.image_id)
    if not heirs:
        return []
    places = {"originals": [heir.original for heir in heirs], "heirs": [heir.image_id for heir in heirs]}
    connection.execute(text(_RELINK), values | places)
    rows = connection.execute(text(_INHERIT), values | {"image_ids": places["heirs"]})
    generations = {row.image_id: row.generation for row in rows}
    return [
        _take_in(connection, collection_id, heirs[first : first + _ITEMS_PER_CHUNK], generations)
        for first in range(0, len(heirs), _ITEMS_PER_CHUNK)
    ]


def _take_in(
    connection: Connection, collection_id: int, heirs: Sequence[Row[Any]], generations: dict[str, int]
) -> ChunkRef:
    values = {
        "job_id": uuid.uuid4(),
        "collection_id": collection_id,
        "on_existing": OnExisting.REPLACE.value,
        "on_duplicate": OnDuplicate.LINK.value,
    }
    job = connection.execute(text(_CREATE_JOB), values).one()
    items = [
        NewItem(ordinal, heir.image_id, heir.attributes, heir.content_hash, heir.size_bytes)
        for ordinal, heir in enumerate(heirs)
    ]
    insert_items(connection, job, [Decision(item, Verdict.WORK) for item in items], generations, {})
    return ChunkRef(str(job.job_id), job.next_chunk)
