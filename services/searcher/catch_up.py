"""Brings one shard from where it stands to the head of its feed: from a snapshot or a base first, then page by page."""

from pixvec.catalogue.feed import FeedPage, FeedReader
from pixvec.errors import CollectionNotFound
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from services.searcher.bootstrap import Bootstrap
from services.searcher.held_shard import HeldShard
from services.searcher.shard_host import ShardHost
from services.searcher.snapshots import Snapshots

log = get_logger(__name__)


class CatchUp:
    """Pushes and pages go through the same `HeldShard.advance`, so that they may overlap."""

    def __init__(
        self,
        host: ShardHost,
        feed: FeedReader,
        snapshots: Snapshots,
        bootstrap: Bootstrap,
        reading: BlockingCalls,
        applying: BlockingCalls,
        *,
        page_rows: int = 512,
    ) -> None:
        self._host = host
        self._feed = feed
        self._snapshots = snapshots
        self._bootstrap = bootstrap
        self._reading = reading
        self._applying = applying
        self._page_rows = page_rows

    async def run(self, held: HeldShard) -> None:
        """Catch up and mark the shard ready. Raises DatabaseUnavailable; the next run goes on from there."""
        if not held.loaded:
            await self._snapshots.load(held)
        while not held.dropped:
            if held.is_full:
                # The next poll goes on from here.
                return
            here = held.applied_seq
            page = await self._read(held, here)
            if page is None or not self._usable(held, here, page):
                return
            if here == 0 and (page.bases or page.truncated_seq):
                if await self._bootstrap.run(held, page):
                    continue
                if page.truncated_seq:
                    # The feed alone is not all there is.
                    return
            if not await self._applying.run(held.advance, here, page.entries, page.through_seq):
                # A push has filled it meanwhile: the next poll goes on from here.
                return
            if held.applied_seq >= page.head_seq:
                self._finish(held)
                return
            if held.applied_seq == here:
                log.error("feed_page_empty", collection=held.collection.name, shard=held.shard, after=here)
                return

    async def _read(self, held: HeldShard, after_seq: int) -> FeedPage | None:
        try:
            return await self._reading.run(self._feed.read, *held.key, after_seq, self._page_rows)
        except CollectionNotFound:
            # Deleted between two polls: the next one drops the shard.
            return None

    def _usable(self, held: HeldShard, after_seq: int, page: FeedPage) -> bool:
        """Whether the page follows on from what is held; if not, let go of that, and the next poll starts over."""
        why = ""
        if page.epoch != held.epoch:
            why = "epoch renewed"
        elif after_seq == 0:
            # Starting from nothing: what was deleted before this page was read is not in it, nor in later ones.
            held.floor = page.tombstone_floor
        elif after_seq < page.truncated_seq:
            why = "feed truncated"
        elif page.tombstone_floor > held.floor:
            if after_seq < page.tombstone_floor:
                why = "tombstones missed"
            held.floor = page.tombstone_floor
        if why and not held.dropped:
            self._host.drop(held, why)
            self._snapshots.forget(held)
        return not held.dropped

    def _finish(self, held: HeldShard) -> None:
        if not held.ready and not held.dropped:
            held.ready = True
            log.info("shard_ready", collection=held.collection.name, shard=held.shard, seq=held.applied_seq)
            held.notify()
