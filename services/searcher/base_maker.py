"""Backs shards up to the blob store: written, sent, read back, and recorded as bases that feeds can go on from."""

import asyncio
from dataclasses import dataclass

from pixvec.backups.storing import NewBackup, ShardFile, StoredBackup, known_files, store_backup
from pixvec.blobs.store import FileStore
from pixvec.catalogue.bases import BaseContent, BaseStore, OpenBase
from pixvec.domain import BaseSnapshot, ShardKey, ShardPosition
from pixvec.errors import FailedPrecondition, PixvecError, ShardUnavailable, Unavailable
from pixvec.index.durable import Damaged
from pixvec.index.portable import Portable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import BASE_SECONDS, BASES_MADE
from services.searcher.freshness import Freshness
from services.searcher.held_shard import HeldShard
from services.searcher.shard_host import ShardHost
from services.searcher.snapshots import Snapshots

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MadeBase:
    """A base that is stored and verified. `stored_bytes`: what had to be sent."""

    base: BaseSnapshot
    stored_bytes: int


class BaseMaker:
    """One base of a shard at a time; whoever asks for a second one is given the first, if that will do. Without a blob
    store none is made."""

    def __init__(
        self,
        host: ShardHost,
        freshness: Freshness,
        snapshots: Snapshots,
        bases: BaseStore,
        blobs: FileStore | None,
        database: BlockingCalls,
        transfers: BlockingCalls,
    ) -> None:
        self._host = host
        self._freshness = freshness
        self._snapshots = snapshots
        self._bases = bases
        self._blobs = blobs
        self._database = database
        self._transfers = transfers
        self._making: dict[ShardKey, asyncio.Task[MadeBase]] = {}
        self._closed = False

    async def make(self, key: ShardKey, at_least: ShardPosition | None = None, limit_s: float = 60.0) -> MadeBase:
        """Return a base of this shard that holds at least what is told, for which it waits `limit_s` seconds. It is
        made to the end though its caller is gone.

        Raises FailedPrecondition without a blob store, ShardUnavailable when the shard is not held and ready here or
        not as fresh as told, StaleToken when the position is from another life of the feed, Unavailable when its disk,
        the blob store or the database fail, and BackupDamaged when what was stored comes back otherwise.
        """
        blobs = self._store()
        if at_least is not None:
            await self._freshness.wait(key[0], at_least, limit_s)
        under_way = self._making.get(key)
        if under_way is not None:
            made = await asyncio.shield(under_way)
            if at_least is None or at_least.seq <= made.base.seq:
                return made
        return await asyncio.shield(self._making.get(key) or self._begin(self._ready(key), blobs))

    async def close(self, limit_s: float) -> None:
        """Make no more, and give those under way this long to notice."""
        self._closed = True
        if self._making:
            _, left = await asyncio.wait(self._making.values(), timeout=limit_s)
            for making in left:
                making.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _begin(self, held: HeldShard, blobs: FileStore) -> "asyncio.Task[MadeBase]":
        making = self._making[held.key] = asyncio.get_running_loop().create_task(self._make(held, blobs))
        making.add_done_callback(self._made)
        return making

    def _made(self, ended: "asyncio.Task[MadeBase]") -> None:
        self._making = {key: making for key, making in self._making.items() if making is not ended}
        if not ended.cancelled():
            # Told in the log already: whoever asked for it may be gone.
            ended.exception()

    def _ready(self, key: ShardKey) -> HeldShard:
        held = self._host.get(key)
        if held is None or not held.ready:
            raise ShardUnavailable(
                f"shard {key[1]} of collection {key[0]} is not held ready by this searcher; try again in a moment",
                retry_after_s=1.0,
            )
        return held

    def _store(self) -> FileStore:
        if self._blobs is None:
            raise FailedPrecondition("this searcher has no blob store for backups: start it with PIXVEC_BLOB_URL set")
        return self._blobs

    async def _make(self, held: HeldShard, blobs: FileStore) -> MadeBase:
        opened = await self._database.run(self._bases.begin, *held.key, held.epoch)
        try:
            with BASE_SECONDS.labels("store").time():
                made = await self._make_opened(held, blobs, opened)
        except (PixvecError, Damaged, OSError) as error:
            BASES_MADE.labels("failed").inc()
            log.error("base_failed", collection=held.collection.name, shard=held.shard, error=str(error))
            await self._give_up(opened, str(error))
            if isinstance(error, PixvecError):
                raise
            raise Unavailable(f"shard {held.shard} cannot be read from the searcher's disk: {error}") from error
        BASES_MADE.labels("done").inc()
        log.info(
            "base_made",
            collection=held.collection.name,
            shard=held.shard,
            seq=made.base.seq,
            size_bytes=made.base.size_bytes,
            stored_bytes=made.stored_bytes,
        )
        return made

    async def _make_opened(self, held: HeldShard, blobs: FileStore, opened: OpenBase) -> MadeBase:
        going = await self._snapshots.link(held)
        try:
            stored = await self._transfers.run(self._send, blobs, opened, going)
        finally:
            self._snapshots.discard(going.folder)
        manifest = going.manifest
        content = BaseContent(
            manifest.seq, stored.manifest, stored.manifest_sha256, manifest.image_count, stored.size_bytes
        )
        base = await self._database.run(self._bases.finish, opened.base_id, content)
        return MadeBase(base, stored.stored_bytes)

    def _send(self, blobs: FileStore, opened: OpenBase, going: Portable) -> StoredBackup:
        manifest = going.manifest
        new = NewBackup(
            opened.base_id, opened.collection_id, opened.shard, opened.epoch, manifest.seq, manifest.image_count
        )
        files = [
            ShardFile(file.path, going.folder / file.path, file.seal.size_bytes, file.seal.sha256)
            for file in going.files
        ]
        return store_backup(blobs, new, files, known_files(blobs, opened.known), self._go_on)

    def _go_on(self) -> None:
        if self._closed:
            raise Unavailable("the searcher is shutting down; create the snapshot again once it is back")

    async def _give_up(self, opened: OpenBase, why: str) -> None:
        try:
            await self._database.run(self._bases.abandon, opened.base_id, why)
        except Unavailable as error:
            # Its row says that it is not finished; after a day it counts as given up.
            log.warning("base_not_abandoned", base=opened.base_id, error=error.message)
