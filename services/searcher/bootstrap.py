"""Begins a shard with a base from the blob store: for a disk that is empty, and a feed that has been truncated."""

import time
from collections.abc import Callable
from pathlib import Path

from pixvec.backups.fetching import fetch_files
from pixvec.backups.manifest import read_manifest
from pixvec.blobs.store import FileStore
from pixvec.catalogue.bases import BaseStore
from pixvec.catalogue.feed import FeedPage
from pixvec.domain import BaseSnapshot
from pixvec.errors import BackupDamaged, PixvecError, ShardUnavailable
from pixvec.index.durable import Damaged
from pixvec.index.shard import Shard
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import BASE_SECONDS, BASES_REFUSED, BOOTSTRAPS
from services.searcher.held_shard import HeldShard
from services.searcher.snapshots import Snapshots

log = get_logger(__name__)

RETRY_S = 30.0


class Bootstrap:
    """What comes from a base has been checked byte by byte before the index reads it."""

    def __init__(
        self,
        snapshots: Snapshots,
        bases: BaseStore,
        blobs: FileStore | None,
        database: BlockingCalls,
        transfers: BlockingCalls,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshots = snapshots
        self._bases = bases
        self._blobs = blobs
        self._database = database
        self._transfers = transfers
        self._clock = clock
        self._not_before: dict[tuple[int, int], float] = {}
        self._closed = False

    def close(self) -> None:
        """Fetch no more."""
        self._closed = True

    async def run(self, held: HeldShard, page: FeedPage) -> bool:
        """Begin with the best of the page's bases that is whole; return whether there was one. Where none was and the
        feed alone will not do, the next try is in a while. Raises DatabaseUnavailable."""
        if held.dropped or self._clock() < self._not_before.get(held.key, 0.0):
            return False
        if self._blobs is not None:
            # One of an empty shard is no better than nothing.
            for base in (base for base in page.bases if base.seq):
                if await self._begin_with(held, page, base, self._blobs):
                    return True
        if page.truncated_seq and not held.dropped:
            self._not_before[held.key] = self._clock() + RETRY_S
            why = f"none of {len(page.bases)} bases can be used"
            remedy = "see what refused them" if self._blobs else "start this searcher with PIXVEC_BLOB_URL set"
            log.error("shard_cannot_begin", collection=held.collection.name, shard=held.shard, why=why, remedy=remedy)
        return False

    async def _begin_with(self, held: HeldShard, page: FeedPage, base: BaseSnapshot, blobs: FileStore) -> bool:
        try:
            with BASE_SECONDS.labels("fetch").time():
                index = await self._fetch(held, page, base, blobs)
        except (PixvecError, Damaged, OSError) as error:
            await self._note(held, base, error)
            return False
        if held.dropped:
            return False
        held.begin_with(index, page.tombstone_floor)
        if base.damage:
            await self._database.run(self._bases.note_damage, base.base_id, "")
        BOOTSTRAPS.labels("done").inc()
        log.info("shard_begun_with_base", collection=held.collection.name, shard=held.shard, base=base.base_id)
        return True

    async def _fetch(self, held: HeldShard, page: FeedPage, base: BaseSnapshot, blobs: FileStore) -> Shard:
        incoming = await self._snapshots.make_incoming(held)
        try:
            await self._transfers.run(self._download, held, base, blobs, incoming)
            limits = {"min_seq": page.tombstone_floor, "max_seq": page.head_seq}
            return await self._snapshots.take_in(held, incoming, base.made_in, **limits)
        finally:
            self._snapshots.discard(incoming)

    def _download(self, held: HeldShard, base: BaseSnapshot, blobs: FileStore, incoming: Path) -> None:
        def go_on() -> None:
            if held.dropped or self._closed:
                raise ShardUnavailable(f"shard {held.shard} is wanted here no longer")

        manifest = read_manifest(blobs, base)
        found = (manifest.collection_id, manifest.shard, manifest.epoch, manifest.seq)
        if found != (base.collection_id, base.shard, base.made_in, base.seq):
            raise BackupDamaged(f"{base.manifest} is of another shard, epoch or position than the catalogue says")
        fetch_files(blobs, manifest.files, incoming, go_on)

    async def _note(self, held: HeldShard, base: BaseSnapshot, error: Exception) -> None:
        """Say what is wrong: in the log, and in the catalogue where it is the backup and not this searcher's disk."""
        if held.dropped or self._closed:
            return
        BOOTSTRAPS.labels("failed").inc()
        log.error(
            "base_not_used",
            collection=held.collection.name,
            shard=held.shard,
            base=base.base_id,
            error=str(error),
        )
        if isinstance(error, BackupDamaged):
            BASES_REFUSED.inc()
            await self._database.run(self._bases.note_damage, base.base_id, str(error))
