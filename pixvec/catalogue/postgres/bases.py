"""Base snapshots: shards in the blob store, from which a feed goes on."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from pixvec.catalogue.bases import (
    BaseContent,
    OpenBase,
    lets_truncate,
    offered,
    refuse_begin,
    refuse_finish,
    refuse_restore,
    retirable,
)
from pixvec.catalogue.postgres.base_rows import BASE_COLUMNS, GONE, lock_bases, read_bases, read_feeds, to_base
from pixvec.catalogue.postgres.database import Store, reading, transaction
from pixvec.domain import BaseSnapshot, ShardPosition
from pixvec.errors import CollectionNotFound, SnapshotNotFound

_BEGIN = """
INSERT INTO base_snapshots (base_id, collection_id, shard, epoch, made_in, seq)
VALUES (:base_id, :collection_id, :shard, :epoch, :epoch, :seq)
"""
_FINISH = f"""
UPDATE base_snapshots b SET seq = :seq, manifest = :manifest, manifest_sha256 = :manifest_sha256,
    image_count = :image_count, size_bytes = :size_bytes, verified_at = now()
WHERE b.base_id = :base_id RETURNING {BASE_COLUMNS}
"""
_ABANDON = """
UPDATE base_snapshots SET retired_at = now(), damage = :why
WHERE base_id = :base_id AND verified_at IS NULL AND retired_at IS NULL
"""
_ONE = f"SELECT {BASE_COLUMNS} FROM base_snapshots b WHERE b.base_id = :base_id"
_OF_COLLECTION = f"""
SELECT {BASE_COLUMNS} FROM base_snapshots b JOIN collections c USING (collection_id)
WHERE c.deleted_at IS NULL AND b.verified_at IS NOT NULL AND b.retired_at IS NULL
    AND (CAST(:collection_id AS bigint) IS NULL OR b.collection_id = :collection_id)
ORDER BY b.created_at DESC, b.base_id
"""
_NOTE_DAMAGE = "UPDATE base_snapshots SET damage = :damage WHERE base_id = :base_id AND verified_at IS NOT NULL"
_TRUNCATE = """
UPDATE shards SET truncated_seq = :seq, tombstone_floor = greatest(tombstone_floor, :seq)
WHERE collection_id = :collection_id AND shard = :shard
"""
_EXPIRE = """
UPDATE base_snapshots SET retired_at = now(), damage = 'it was not finished in time'
WHERE verified_at IS NULL AND retired_at IS NULL AND created_at <= now() - make_interval(secs => :open_s)
"""
_RETIRE = "UPDATE base_snapshots SET retired_at = now() WHERE base_id = ANY(CAST(:base_ids AS uuid[]))"
_RETIRED = f"""
SELECT {BASE_COLUMNS} FROM base_snapshots b WHERE b.retired_at <= now() - make_interval(secs => :age_s)
ORDER BY b.retired_at
"""
_REMOVE = "DELETE FROM base_snapshots WHERE base_id = :base_id AND retired_at IS NOT NULL"
_SHARDS = """
SELECT s.shard FROM shards s JOIN collections c USING (collection_id)
WHERE s.collection_id = :collection_id AND c.deleted_at IS NULL ORDER BY s.shard
"""
_RENEW = """
UPDATE shards SET epoch = gen_random_uuid(), truncated_seq = coalesce(:seq, truncated_seq),
    tombstone_floor = greatest(tombstone_floor, :seq), head_seq = greatest(head_seq, :seq)
WHERE collection_id = :collection_id AND shard = :shard RETURNING shard, CAST(epoch AS text) AS epoch, head_seq AS seq
"""
_CARRY_OVER = """
UPDATE base_snapshots SET epoch = :epoch, retired_at = NULL, damage = '' WHERE base_id = :base_id
"""


class PostgresBaseStore(Store):
    """BaseStore in Postgres."""

    @transaction
    def begin(self, connection: Connection, collection_id: int, shard: int, epoch: str) -> OpenBase:
        """Announce a base snapshot. Raises CollectionNotFound, and FailedPrecondition for another epoch."""
        lock_bases(connection)
        key = (collection_id, shard)
        feed = read_feeds(connection, [key]).get(key, GONE)
        if feed.is_gone:
            raise CollectionNotFound(f"collection {collection_id} has no shard {shard}, or was deleted")
        refuse_begin(feed, epoch)
        known = [each for each in offered(read_bases(connection, *key)[key], feed) if each.is_sound]
        base_id = str(uuid.uuid4())
        values = {"base_id": base_id, "collection_id": collection_id, "shard": shard}
        connection.execute(text(_BEGIN), values | {"epoch": epoch, "seq": feed.tombstone_floor})
        return OpenBase(base_id, collection_id, shard, epoch, tuple(known))

    @transaction
    def finish(self, connection: Connection, base_id: str, content: BaseContent) -> BaseSnapshot:
        """Say that every byte is stored and verified. Raises FailedPrecondition."""
        lock_bases(connection)
        opened = _one(connection, base_id)
        key = (opened.collection_id, opened.shard) if opened else (0, 0)
        refuse_finish(opened, read_feeds(connection, [key]).get(key, GONE), content)
        values = {
            "base_id": base_id,
            "seq": content.seq,
            "manifest": content.manifest,
            "manifest_sha256": content.manifest_sha256,
            "image_count": content.image_count,
            "size_bytes": content.size_bytes,
        }
        return to_base(connection.execute(text(_FINISH), values).one())

    @transaction
    def abandon(self, connection: Connection, base_id: str, why: str) -> None:
        """Give up a base that is not finished."""
        connection.execute(text(_ABANDON), {"base_id": base_id, "why": why})

    @reading
    def of_collection(self, connection: Connection, collection_id: int | None = None) -> list[BaseSnapshot]:
        """Return the verified bases of one collection or of all, the newest first."""
        return [to_base(row) for row in connection.execute(text(_OF_COLLECTION), {"collection_id": collection_id})]

    @reading
    def of_shard(self, connection: Connection, collection_id: int, shard: int) -> list[BaseSnapshot]:
        """Return every base whose files may be there, whatever its state."""
        return read_bases(connection, collection_id, shard)[collection_id, shard]

    @transaction
    def note_damage(self, connection: Connection, base_id: str, damage: str) -> None:
        """Say what is wrong with the files of a base; nothing, for one that was found right."""
        connection.execute(text(_NOTE_DAMAGE), {"base_id": base_id, "damage": damage})

    @transaction
    def truncatable(self, connection: Connection) -> list[BaseSnapshot]:
        """Return for each shard the newest sound base that its feed may begin at."""
        bases = read_bases(connection)
        feeds = read_feeds(connection, list(bases))
        newest = []
        for key in sorted(feeds):
            fit = [each for each in bases[key] if lets_truncate(each, feeds[key])]
            newest += sorted(fit, key=lambda each: (each.seq, each.created_at))[-1:]
        return newest

    @transaction
    def truncate(self, connection: Connection, base_id: str) -> bool:
        """Let the feed of the base's shard begin at it, if it still may."""
        lock_bases(connection)
        base = _one(connection, base_id)
        key = (base.collection_id, base.shard) if base else (0, 0)
        if base is None or not lets_truncate(base, read_feeds(connection, [key]).get(key, GONE)):
            return False
        values = {"collection_id": base.collection_id, "shard": base.shard, "seq": base.seq}
        connection.execute(text(_TRUNCATE), values)
        return True

    @transaction
    def retire(self, connection: Connection, keep: int, open_s: float) -> int:
        """Retire what is not kept, and what was begun long ago and not finished."""
        lock_bases(connection)
        connection.execute(text(_EXPIRE), {"open_s": open_s})
        bases = read_bases(connection)
        feeds = read_feeds(connection, list(bases))
        chosen = [each for key in bases for each in retirable(bases[key], feeds.get(key, GONE), keep)]
        if chosen:
            connection.execute(text(_RETIRE), {"base_ids": chosen})
        return len(chosen)

    @reading
    def retired(self, connection: Connection, age_s: float) -> list[BaseSnapshot]:
        """Return those that were retired `age_s` seconds ago or earlier."""
        return [to_base(row) for row in connection.execute(text(_RETIRED), {"age_s": age_s})]

    @transaction
    def remove(self, connection: Connection, base_id: str) -> None:
        """Forget a retired base whose files are gone."""
        connection.execute(text(_REMOVE), {"base_id": base_id})

    @transaction
    def restore(self, connection: Connection, collection_id: int, bases: Mapping[int, str]) -> list[ShardPosition]:
        """Renew the epochs of all shards; those named go on from a base. Raises CollectionNotFound, SnapshotNotFound,
        FailedPrecondition."""
        lock_bases(connection)
        shards = list(connection.execute(text(_SHARDS), {"collection_id": collection_id}).scalars())
        if not shards:
            raise CollectionNotFound(f"collection {collection_id} has been deleted", field="collection")
        chosen = _choose(connection, collection_id, shards, bases)
        return [_renew(connection, collection_id, shard, chosen[shard]) for shard in shards]


def _choose(
    connection: Connection, collection_id: int, shards: Sequence[int], bases: Mapping[int, str]
) -> dict[int, BaseSnapshot | None]:
    feeds = read_feeds(connection, [(collection_id, shard) for shard in shards])
    chosen = {shard: _one(connection, bases[shard]) if shard in bases else None for shard in shards}
    for shard in shards:
        refuse_restore(feeds[collection_id, shard], chosen[shard], collection_id, shard, bases.get(shard))
    return chosen


def _renew(connection: Connection, collection_id: int, shard: int, base: BaseSnapshot | None) -> ShardPosition:
    values: dict[str, Any] = {"collection_id": collection_id, "shard": shard, "seq": base.seq if base else None}
    renewed = ShardPosition(*connection.execute(text(_RENEW), values).one())
    if base is not None:
        connection.execute(text(_CARRY_OVER), {"epoch": renewed.epoch, "base_id": base.base_id})
    return renewed


def _one(connection: Connection, base_id: str) -> BaseSnapshot | None:
    try:
        key = uuid.UUID(base_id)
    except ValueError:
        raise SnapshotNotFound(f"no snapshot {base_id!r}: a snapshot's id is a UUID", field="snapshot_ids") from None
    row = connection.execute(text(_ONE), {"base_id": key}).one_or_none()
    return None if row is None else to_base(row)
