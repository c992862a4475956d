"""Duplicates whose original is gone: the oldest takes its place."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.acceptance import Decision, Verdict
from pixvec.catalogue.duplicates import Looks
from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.catalogue.postgres.duplicates import from_signed, looks_of
from pixvec.catalogue.postgres.jobs.acceptance import insert_items
from pixvec.domain import OnExisting

_ITEMS_PER_CHUNK = 64
_LINKS = """
SELECT l.image_id, l.content_hash, l.perceptual_hash, l.size_bytes, l.attributes, l.created_at,
    l.duplicate_of AS original, o.image_id AS still_there, o.live_generation, o.pending <> '{}' AS pending,
    o.content_hash AS original_hash, o.perceptual_hash AS original_looks
FROM images l LEFT JOIN images o ON o.collection_id = l.collection_id AND o.image_id = l.duplicate_of
WHERE l.collection_id = :collection_id AND l.duplicate_of = ANY(:image_ids) ORDER BY l.image_id FOR NO KEY UPDATE OF l
"""
# A newer version of its own comes after this one.
_INHERIT = """
UPDATE images SET duplicate_of = NULL, pending = nextval('image_generation') || pending, updated_at = now()
WHERE collection_id = :collection_id AND image_id = ANY(:image_ids) RETURNING image_id, pending[1] AS generation
"""
_RELINK = """
UPDATE images m SET duplicate_of = n.heir
FROM unnest(CAST(:image_ids AS text[]), CAST(:heirs AS text[])) AS n(image_id, heir)
WHERE m.collection_id = :collection_id AND m.image_id = n.image_id
"""
_CREATE_JOB = """
INSERT INTO jobs (job_id, collection_id, on_existing, closed_at)
VALUES (:job_id, :collection_id, :on_existing, now()) RETURNING *
"""


def succeed(connection: Connection, collection_id: int, image_ids: Collection[str]) -> list[ChunkRef]:
    """Give the duplicates of those images that are gone, or are another picture now, a new original: the oldest of
    them, which is taken in anew. Return the work that makes."""
    if not image_ids:
        return []
    values: dict[str, Any] = {"collection_id": collection_id, "image_ids": list(image_ids)}
    families: dict[str, list[Row[Any]]] = defaultdict(list)
    for link in connection.execute(text(_LINKS), values):
        if _is_orphan(link):
            families[link.original].append(link)
    heirs = [min(links, key=lambda link: (link.created_at, link.image_id)) for links in families.values()]
    if not heirs:
        return []
    _relink(connection, collection_id, families.values(), heirs)
    rows = connection.execute(text(_INHERIT), values | {"image_ids": [heir.image_id for heir in heirs]})
    generations = {row.image_id: row.generation for row in rows}
    ordered = sorted(heirs, key=lambda heir: heir.image_id)
    return [
        _take_in(connection, collection_id, ordered[first : first + _ITEMS_PER_CHUNK], generations)
        for first in range(0, len(ordered), _ITEMS_PER_CHUNK)
    ]


def _is_orphan(link: Row[Any]) -> bool:
    if link.still_there is None:
        return True
    if link.live_generation is None:
        return not link.pending
    original = Looks(link.original, link.original_hash, from_signed(link.original_looks))
    return looks_of(link).bits_apart(original) is None


def _relink(
    connection: Connection, collection_id: int, families: Collection[Sequence[Row[Any]]], heirs: Sequence[Row[Any]]
) -> None:
    others = [
        (link.image_id, heir.image_id)
        for links, heir in zip(families, heirs, strict=True)
        for link in links
        if link is not heir
    ]
    if others:
        image_ids, new = zip(*others, strict=True)
        values = {"collection_id": collection_id, "image_ids": list(image_ids), "heirs": list(new)}
        connection.execute(text(_RELINK), values)


def _take_in(
    connection: Connection, collection_id: int, heirs: Sequence[Row[Any]], generations: dict[str, int]
) -> ChunkRef:
    values = {"job_id": uuid.uuid4(), "collection_id": collection_id, "on_existing": OnExisting.REPLACE.value}
    job = connection.execute(text(_CREATE_JOB), values).one()
    items = [
        NewItem(ordinal, heir.image_id, heir.attributes, heir.content_hash, heir.size_bytes)
        for ordinal, heir in enumerate(heirs)
    ]
    insert_items(connection, job, [Decision(item, Verdict.WORK) for item in items], generations, {})
    return ChunkRef(str(job.job_id), job.next_chunk)
