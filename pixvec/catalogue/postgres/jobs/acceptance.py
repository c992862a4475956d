"""Accepting items: each is decided on, its image gets a new generation, and the whole becomes one chunk."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.acceptance import (
    MAX_PENDING,
    Decision,
    Policy,
    StoredImage,
    Verdict,
    candidates,
    closed_error,
    decide,
    screen,
)
from pixvec.catalogue.duplicates import Looks
from pixvec.catalogue.interfaces import AddedItems, ItemStatus, NewItem
from pixvec.catalogue.postgres.database import Overtaken, Store, transaction
from pixvec.catalogue.postgres.duplicates import find_originals
from pixvec.catalogue.postgres.rows import ITEM_COLUMNS, ITEM_TABLES, job_key, to_json, to_status
from pixvec.catalogue.sharding import shard_of
from pixvec.domain import ItemError, OnDuplicate, OnExisting
from pixvec.errors import JobNotFound

_LOCK_JOB = "SELECT * FROM jobs WHERE job_id = :job_id FOR NO KEY UPDATE"
_KNOWN = f"SELECT {ITEM_COLUMNS} FROM {ITEM_TABLES} WHERE i.job_id = :job_id AND i.ordinal = ANY(:ordinals)"
_IMAGE_COLUMNS = "image_id, content_hash, size_bytes, attributes"
_IMAGE_ARRAYS = f"""unnest(CAST(:image_ids AS text[]), CAST(:hashes AS text[]), CAST(:sizes AS bigint[]),
    CAST(:attributes AS text[])) AS n({_IMAGE_COLUMNS})"""
_INSERT_IMAGES = f"""
INSERT INTO images (collection_id, image_id, pending, content_hash, size_bytes, attributes)
SELECT :collection_id, image_id, ARRAY[nextval('image_generation')], content_hash, size_bytes, CAST(attributes AS json)
FROM (SELECT * FROM {_IMAGE_ARRAYS} ORDER BY image_id COLLATE "C") sorted
ON CONFLICT DO NOTHING RETURNING image_id, pending[1] AS generation
"""
_LOCK_IMAGES = """
SELECT image_id, live_generation IS NOT NULL AS live, pending <> '{}' AS pending, content_hash, attributes,
    coalesce(duplicate_of, '') AS duplicate_of
FROM images WHERE collection_id = :collection_id AND image_id = ANY(:image_ids) ORDER BY image_id FOR NO KEY UPDATE
"""
_IS_SHOWN = "(m.live_generation IS NOT NULL OR m.duplicate_of IS NOT NULL)"
# An image that can be found, by itself or by its original, goes on being shown as it is; one that cannot takes on what
# is now on its way.
_RENEW_IMAGES = f"""
UPDATE images m SET updated_at = now(), reason = NULL, message = NULL, retryable = FALSE,
    pending = m.pending[cardinality(m.pending) - {MAX_PENDING - 2} :] || nextval('image_generation'),
    content_hash = CASE WHEN {_IS_SHOWN} THEN m.content_hash ELSE n.content_hash END,
    size_bytes = CASE WHEN {_IS_SHOWN} THEN m.size_bytes ELSE n.size_bytes END,
    attributes = CASE WHEN {_IS_SHOWN} THEN m.attributes ELSE CAST(n.attributes AS json) END
FROM {_IMAGE_ARRAYS} WHERE m.collection_id = :collection_id AND m.image_id = n.image_id
RETURNING m.image_id, m.pending[cardinality(m.pending)] AS generation
"""
# The same bytes: what decoding told of the original holds for it too.
_LINK_IMAGES = f"""
INSERT INTO images AS m (collection_id, image_id, content_hash, size_bytes, attributes, format, width, height,
    perceptual_hash, duplicate_of)
SELECT :collection_id, n.image_id, n.content_hash, n.size_bytes, CAST(n.attributes AS json), o.format, o.width,
    o.height, o.perceptual_hash, o.image_id
FROM {_IMAGE_ARRAYS} JOIN unnest(CAST(:image_ids AS text[]), CAST(:originals AS text[])) AS l(image_id, original)
    USING (image_id) JOIN images o ON o.collection_id = :collection_id AND o.image_id = l.original
ORDER BY n.image_id COLLATE "C"
ON CONFLICT (collection_id, image_id) DO UPDATE SET updated_at = now(), reason = NULL, message = NULL,
    retryable = FALSE, content_hash = excluded.content_hash, size_bytes = excluded.size_bytes,
    attributes = excluded.attributes, format = excluded.format, width = excluded.width, height = excluded.height,
    perceptual_hash = excluded.perceptual_hash, duplicate_of = excluded.duplicate_of
WHERE m.live_generation IS NULL AND m.pending = '{{}}'
"""
_POSITIONS = """
SELECT f.image_id, f.shard, s.epoch, f.seq FROM feed f JOIN shards s USING (collection_id, shard)
WHERE f.collection_id = :collection_id AND f.image_id = ANY(:image_ids) AND NOT f.deleted
    AND f.shard = ANY(ARRAY(SELECT shard FROM shards WHERE collection_id = :collection_id))
"""
# Where a feed was truncated, the rows of images below are gone: whoever follows it stands there or beyond.
_TRUNCATED = """
SELECT m.image_id FROM images m
WHERE m.collection_id = :collection_id AND m.image_id = ANY(:image_ids) AND m.live_generation IS NOT NULL
    AND EXISTS (SELECT FROM shards s WHERE s.collection_id = m.collection_id AND s.truncated_seq > 0)
"""
_SHARDS = "SELECT shard, epoch, truncated_seq AS seq FROM shards WHERE collection_id = :collection_id ORDER BY shard"
_INSERT_CHUNK = """
INSERT INTO job_chunks (job_id, chunk, size, open_items, indexed, failed, ended_at)
VALUES (:job_id, :chunk, :size, :open_items, :indexed, :failed, CASE WHEN :open_items = 0 THEN now() END)
"""
_INSERT_ITEMS = """
INSERT INTO job_items (job_id, ordinal, chunk, image_id, generation, state, unchanged, attributes, content_hash, uri,
    reason, message, retryable, shard, epoch, seq, duplicate_of)
SELECT :job_id, ordinal, :chunk, image_id, generation, state, unchanged, CAST(attributes AS json), content_hash, uri,
    reason, message, FALSE, shard, epoch, seq, duplicate_of
FROM unnest(CAST(:ordinals AS bigint[]), CAST(:image_ids AS text[]), CAST(:generations AS bigint[]),
    CAST(:states AS text[]), CAST(:unchanged AS boolean[]), CAST(:attributes AS text[]), CAST(:hashes AS text[]),
    CAST(:uris AS text[]), CAST(:reasons AS text[]), CAST(:messages AS text[]), CAST(:shards AS integer[]),
    CAST(:epochs AS uuid[]), CAST(:seqs AS bigint[]), CAST(:originals AS text[]))
    AS n(ordinal, image_id, generation, state, unchanged, attributes, content_hash, uri, reason, message, shard, epoch,
         seq, duplicate_of)
"""
_ADVANCE_JOB = """
UPDATE jobs SET next_chunk = next_chunk + 1, max_ordinal = greatest(max_ordinal, :max_ordinal), active_at = now()
WHERE job_id = :job_id
"""
_STATES = {
    Verdict.WORK: "open",
    Verdict.FAILED: "failed",
    Verdict.UNCHANGED: "indexed",
    Verdict.SUPERSEDED: "indexed",
    Verdict.LINKED: "indexed",
}


class Acceptance(Store):
    """The part of JobStore that takes items in."""

    @transaction
    def add_items(self, connection: Connection, job_id: str, items: Sequence[NewItem]) -> AddedItems:
        """Accept items as one new chunk; an ordinal accepted before is only reported."""
        # The job's row makes streams that send the same ordinals wait for one another.
        job = connection.execute(text(_LOCK_JOB), {"job_id": job_key(job_id)}).one_or_none()
        if job is None:
            raise JobNotFound(f"no job {job_id!r}: it may be of a deleted collection; open a new one", field="job_id")
        known = _statuses(connection, job.job_id, [item.ordinal for item in items])
        fresh = [item for item in items if item.ordinal not in known]
        chunk = None
        if fresh:
            if job.closed_at is not None:
                raise closed_error(job_id, ItemError(job.reason, job.message) if job.reason else None)
            chunk = _store(connection, job, fresh)
            known |= _statuses(connection, job.job_id, [item.ordinal for item in fresh])
        return AddedItems(chunk, tuple(known[ordinal] for ordinal in sorted(known)))


def _statuses(connection: Connection, job_id: uuid.UUID, ordinals: Sequence[int]) -> dict[int, ItemStatus]:
    rows = connection.execute(text(_KNOWN), {"job_id": job_id, "ordinals": list(ordinals)})
    return {row.ordinal: to_status(row) for row in rows}


def _store(connection: Connection, job: Row[Any], items: Sequence[NewItem]) -> int | None:
    sound, refused = screen(items)
    policy = Policy(OnExisting(job.on_existing), OnDuplicate(job.on_duplicate))
    chosen = candidates(sound, policy.on_existing)
    if policy.on_duplicate is not OnDuplicate.KEEP:
        # Before originals are held, which may be among them: of two who share a row neither can go on to write it.
        _lock_images(connection, job.collection_id, list(chosen))
    originals = _originals(connection, job.collection_id, policy, chosen.values())
    fresh = [item for item in chosen.values() if item.image_id not in originals]
    generations = _insert_images(connection, job.collection_id, fresh)
    stored = _lock_images(connection, job.collection_id, [each for each in chosen if each not in generations])
    if len(generations) + len(stored.keys() - originals.keys()) < len(fresh):
        raise Overtaken("an image was deleted between being found and being locked")
    decisions = decide(sound, stored, policy, originals)
    _link_images(connection, job.collection_id, [each for each in decisions if each.verdict is Verdict.LINKED])
    renewed = [each.item for each in decisions if each.verdict is Verdict.WORK and each.item.image_id in stored]
    generations |= _renew_images(connection, job.collection_id, renewed)
    unchanged = [each.item.image_id for each in decisions if each.verdict is Verdict.UNCHANGED]
    positions = _positions(connection, job.collection_id, unchanged)
    insert_items(connection, job, [*decisions, *refused], generations, positions)
    return job.next_chunk if any(each.verdict is Verdict.WORK for each in decisions) else None


def _originals(connection: Connection, collection_id: int, policy: Policy, items: Iterable[NewItem]) -> dict[str, str]:
    if policy.on_duplicate is OnDuplicate.KEEP:
        return {}
    return find_originals(connection, collection_id, [Looks(item.image_id, item.content_hash) for item in items])


def _link_images(connection: Connection, collection_id: int, decisions: Sequence[Decision]) -> None:
    if not decisions:
        return
    values = _image_arrays(collection_id, [each.item for each in decisions])
    values["originals"] = [each.duplicate_of for each in decisions]
    if connection.execute(text(_LINK_IMAGES), values).rowcount < len(decisions):
        raise Overtaken("an image came between being decided on and being linked")


def _image_arrays(collection_id: int, items: Sequence[NewItem]) -> dict[str, Any]:
    return {
        "collection_id": collection_id,
        "image_ids": [item.image_id for item in items],
        "hashes": [item.content_hash for item in items],
        "sizes": [item.size_bytes for item in items],
        "attributes": [to_json(item.attributes) for item in items],
    }


def _insert_images(connection: Connection, collection_id: int, items: Sequence[NewItem]) -> dict[str, int]:
    """Insert those that are not there. Return the generations of what was inserted."""
    rows = connection.execute(text(_INSERT_IMAGES), _image_arrays(collection_id, items))
    return {row.image_id: row.generation for row in rows}


def _lock_images(connection: Connection, collection_id: int, image_ids: Sequence[str]) -> dict[str, StoredImage]:
    if not image_ids:
        return {}
    values = {"collection_id": collection_id, "image_ids": list(image_ids)}
    return {row.image_id: StoredImage(*row[1:]) for row in connection.execute(text(_LOCK_IMAGES), values)}


def _renew_images(connection: Connection, collection_id: int, items: Sequence[NewItem]) -> dict[str, int]:
    if not items:
        return {}
    rows = connection.execute(text(_RENEW_IMAGES), _image_arrays(collection_id, items))
    return {row.image_id: row.generation for row in rows}


def _positions(connection: Connection, collection_id: int, image_ids: Sequence[str]) -> dict[str, Row[Any]]:
    if not image_ids:
        return {}
    values = {"collection_id": collection_id, "image_ids": list(image_ids)}
    found = {row.image_id: row for row in connection.execute(text(_POSITIONS), values)}
    missing = [image_id for image_id in image_ids if image_id not in found]
    return found | _truncated_positions(connection, collection_id, missing)


def _truncated_positions(connection: Connection, collection_id: int, image_ids: Sequence[str]) -> dict[str, Row[Any]]:
    if not image_ids:
        return {}
    values = {"collection_id": collection_id, "image_ids": list(image_ids)}
    live = list(connection.execute(text(_TRUNCATED), values).scalars())
    shards = list(connection.execute(text(_SHARDS), {"collection_id": collection_id})) if live else []
    places = {image_id: shards[shard_of(image_id, len(shards))] for image_id in live}
    return {image_id: place for image_id, place in places.items() if place.seq}


def insert_items(
    connection: Connection,
    job: Row[Any],
    decisions: Sequence[Decision],
    generations: Mapping[str, int],
    positions: Mapping[str, Row[Any]],
) -> None:
    """Write items that were decided on as the next chunk of a job."""
    states = [_STATES[each.verdict] for each in decisions]
    values = {
        "job_id": job.job_id,
        "chunk": job.next_chunk,
        "size": len(states),
        "open_items": states.count("open"),
        "indexed": states.count("indexed"),
        "failed": states.count("failed"),
        "max_ordinal": max(each.item.ordinal for each in decisions),
    }
    connection.execute(text(_INSERT_CHUNK), values)
    connection.execute(text(_INSERT_ITEMS), values | _item_arrays(decisions, states, generations, positions))
    connection.execute(text(_ADVANCE_JOB), values)


def _item_arrays(
    decisions: Sequence[Decision],
    states: Sequence[str],
    generations: Mapping[str, int],
    positions: Mapping[str, Row[Any]],
) -> dict[str, Any]:
    unchanged = [each.verdict is Verdict.UNCHANGED for each in decisions]
    places = [
        positions.get(each.item.image_id) if same else None for each, same in zip(decisions, unchanged, strict=True)
    ]
    return {
        "ordinals": [each.item.ordinal for each in decisions],
        "image_ids": [each.item.image_id for each in decisions],
        "generations": [generations[each.item.image_id] if each.verdict is Verdict.WORK else 0 for each in decisions],
        "states": states,
        "unchanged": unchanged,
        "attributes": [to_json(each.item.attributes) if each.verdict is Verdict.WORK else "{}" for each in decisions],
        "hashes": [each.item.content_hash for each in decisions],
        "uris": [each.item.uri for each in decisions],
        "reasons": [each.error and each.error.reason for each in decisions],
        "messages": [each.error and each.error.message for each in decisions],
        "shards": [place and place.shard for place in places],
        "epochs": [place and place.epoch for place in places],
        "seqs": [place and place.seq for place in places],
        "originals": [each.duplicate_of or None for each in decisions],
    }
