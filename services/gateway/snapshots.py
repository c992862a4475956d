"""Backs collections up, shard by shard, and has them begun anew with what was backed up."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pixvec.backups.checking import check_backup
from pixvec.blobs.store import FileStore
from pixvec.catalogue.interfaces import Catalogue
from pixvec.catalogue.topology import Replica, Routing, ShardStanding
from pixvec.domain import BaseSnapshot, Collection, ItemError, ShardPosition
from pixvec.errors import (
    BackupDamaged,
    InvalidRequest,
    PixvecError,
    ShardUnavailable,
    SnapshotNotFound,
    Unavailable,
)
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.searcher_admin import CreatedBase, SearcherAdmin
from pixvec.telemetry.logging import get_logger
from services.gateway.directory import Directory
from services.gateway.query import Deadline

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ShardBackup:
    """What became of one shard: a base, or the reason why there is none. `stored_bytes`: what had to be sent."""

    shard: int
    base: BaseSnapshot | None = None
    stored_bytes: int = 0
    error: ItemError | None = None


@dataclass(frozen=True, slots=True)
class RestoredShard:
    """A shard that is begun anew: with a base, or the feed alone. `position`: its new epoch, and the feed's end."""

    position: ShardPosition
    base: BaseSnapshot | None


class Snapshots:
    """The searchers that hold the shards do the work."""

    def __init__(
        self,
        directory: Directory,
        catalogue: Catalogue,
        searchers: SearcherAdmin,
        blobs: FileStore,
        sql: BlockingCalls,
        files: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._searchers = searchers
        self._blobs = blobs
        self._sql = sql
        self._files = files

    async def create(self, name: str, deadline: Deadline) -> list[ShardBackup]:
        """Back up every shard with all that was written before this call; one that fails is told in its place. Raises
        CollectionNotFound."""
        collection = await self._directory.collection(name)
        routing = await self._directory.fresh_routing()
        heads = await self._sql.run(self._catalogue.topology.shards, collection.collection_id)
        return await asyncio.gather(*(self._back_up(collection, _end(head), routing, deadline) for head in heads))

    async def of_collection(self, name: str) -> list[tuple[BaseSnapshot, str]]:
        """Return the verified bases of one collection, or of all for an empty name, the newest first, each with its
        collection's name. Raises CollectionNotFound."""
        collection_id = (await self._directory.collection(name)).collection_id if name else None
        bases = await self._sql.run(self._catalogue.bases.of_collection, collection_id)
        standings = await self._sql.run(self._catalogue.topology.shards, collection_id)
        names = {each.collection_id: each.collection for each in standings}
        return [(base, names[base.collection_id]) for base in bases if base.collection_id in names]

    async def restore(self, name: str, base_ids: Sequence[str], *, from_feed: bool) -> list[RestoredShard]:
        """Begin every shard anew, each with the base that is named or else its newest one, read through first; or with
        the feed alone. Raises CollectionNotFound, InvalidRequest, SnapshotNotFound, BackupDamaged, FailedPrecondition,
        Unavailable."""
        collection = await self._directory.collection(name)
        chosen = {} if from_feed else await self._choose(collection, base_ids)
        if from_feed and base_ids:
            raise InvalidRequest("name snapshots, or restore from the feed alone: not both", field="snapshot_ids")
        for base in chosen.values():
            await self._check(base)
        names = {shard: base.base_id for shard, base in chosen.items()}
        positions = await self._sql.run(self._catalogue.bases.restore, collection.collection_id, names)
        log.warning("collection_restored", collection=name, bases=len(chosen), shards=len(positions))
        return [RestoredShard(position, chosen.get(position.shard)) for position in positions]

    async def _back_up(
        self, collection: Collection, end: ShardPosition, routing: Routing, deadline: Deadline
    ) -> ShardBackup:
        shard = end.shard
        try:
            created = await self._create_base(collection, end, routing, deadline)
            bases = await self._sql.run(self._catalogue.bases.of_shard, collection.collection_id, shard)
            (base,) = (each for each in bases if each.base_id == created.base_id)
        except PixvecError as error:
            log.warning("shard_not_backed_up", collection=collection.name, shard=shard, error=error.message)
            return ShardBackup(shard, error=ItemError(error.reason, error.message, error.retryable))
        return ShardBackup(shard, base, created.stored_bytes)

    async def _create_base(
        self, collection: Collection, end: ShardPosition, routing: Routing, deadline: Deadline
    ) -> CreatedBase:
        """Ask one ready replica after the other."""
        error: Unavailable = ShardUnavailable(
            f"no searcher holds shard {end.shard} of {collection.name} ready; try again in a moment", retry_after_s=1.0
        )
        for replica in _ready(routing, collection.collection_id, end.shard):
            try:
                return await self._searchers.create_base(
                    replica.address, collection.collection_id, end, deadline.left_s
                )
            except Unavailable as unavailable:
                error = unavailable
        raise error

    async def _choose(self, collection: Collection, base_ids: Sequence[str]) -> dict[int, BaseSnapshot]:
        chosen: dict[int, BaseSnapshot] = {}
        for shard in range(collection.shard_count):
            bases = await self._sql.run(self._catalogue.bases.of_shard, collection.collection_id, shard)
            named = [base for base in bases if base.base_id in base_ids and base.verified_at is not None]
            if len(named) > 1:
                raise InvalidRequest(f"two of the snapshots are of shard {shard}: name one", field="snapshot_ids")
            chosen[shard] = named[0] if named else _newest(collection, shard, bases)
        unknown = set(base_ids) - {base.base_id for base in chosen.values()}
        if unknown:
            raise SnapshotNotFound(
                f"{collection.name} has no verified snapshot {min(unknown)}: see the list", field="snapshot_ids"
            )
        return chosen

    async def _check(self, base: BaseSnapshot) -> None:
        try:
            await self._files.run(check_backup, self._blobs, base)
        except BackupDamaged as damage:
            await self._sql.run(self._catalogue.bases.note_damage, base.base_id, damage.message)
            raise BackupDamaged(
                f"snapshot {base.base_id} of shard {base.shard} is damaged: {damage.message}; name an older one, or"
                " restore from the feed if that is whole"
            ) from damage


def _newest(collection: Collection, shard: int, bases: Sequence[BaseSnapshot]) -> BaseSnapshot:
    kept = [base for base in bases if base.is_sound and base.retired_at is None]
    if not kept:
        raise SnapshotNotFound(
            f"shard {shard} of {collection.name} has no sound snapshot: restore it from the feed if that is whole"
        )
    return max(kept, key=lambda base: (base.created_at, base.seq))


def _end(head: ShardStanding) -> ShardPosition:
    return ShardPosition(head.shard, head.epoch, head.head_seq)


def _ready(routing: Routing, collection_id: int, shard: int) -> list[Replica]:
    return [replica for replica in routing.replicas.get((collection_id, shard), ()) if replica.ready]
