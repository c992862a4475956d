"""One shard of this searcher: its index, and where it stands in the feed."""

import asyncio
import threading
from collections.abc import Sequence

from pixvec.catalogue.feed import FeedEntry
from pixvec.catalogue.topology import Assignment, ShardReport
from pixvec.domain import IndexStanding
from pixvec.errors import InvalidVector
from pixvec.index.library import load_faiss
from pixvec.index.manifest import ShardIdentity
from pixvec.index.shard import Shard
from services.searcher.changes import ChangeReader, to_specs
from services.searcher.growing_budget import GrowingBudget


class HeldShard:
    """Belongs to the event loop it is made in, but for `advance`, which appliers call in their threads.

    `floor` is the highest tombstone floor that what is held here is known to be complete for.
    """

    def __init__(self, assignment: Assignment, budget: GrowingBudget) -> None:
        self.collection = assignment.collection
        self.shard = assignment.shard
        self.key = (assignment.collection.collection_id, assignment.shard)
        self.epoch = assignment.epoch
        self.assignment = assignment
        self.floor = 0
        self.ready = False
        self.dropped = False
        self.snapshot_seq = 0
        # Whether a build has been finished that no snapshot knows of.
        self.has_unsaved_build = False
        # Why the last build failed; empty when it did not.
        self.build_error = ""
        specs = to_specs(self.collection)
        self.identity = ShardIdentity(self.collection.collection_id, self.shard, self.epoch, specs)
        self.index = Shard(specs)
        self.loaded = False
        self._budget = budget
        self._reader = ChangeReader(self.collection, self.shard)
        self._one_applier = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    @property
    def applied_seq(self) -> int:
        """The position that every search sees."""
        return self.index.applied_seq

    @property
    def head_seq(self) -> int:
        """The end of the feed, as far as is known here."""
        return max(self.assignment.head_seq, self.applied_seq)

    @property
    def report(self) -> ShardReport:
        """How the shard stands, for the catalogue."""
        return ShardReport(self.collection.collection_id, self.shard, self.ready, self.snapshot_seq)

    @property
    def standing(self) -> IndexStanding:
        """How the index stands, for those who run the deployment."""
        views = self.index.view.spaces.values()
        sealed = [view for space in views for view in space.sealed]
        return IndexStanding(
            len(sealed),
            tuple(sorted({view.segment.seal.kind for view in sealed})),
            sum(space.growing.row_count for space in views),
            sum(view.row_count for view in sealed),
            self.is_full,
            self.build_error,
        )

    @property
    def is_full(self) -> bool:
        """Whether rows have grown faster than builds could seal them: no write is taken until one has."""
        return self._budget.is_spent_by(self.index.growing_bytes)

    def use(self, assignment: Assignment) -> None:
        """Go by what the catalogue says now. Other index settings hold for what is built from now on."""
        is_changed = assignment.collection.spaces != self.collection.spaces
        self.assignment, self.collection = assignment, assignment.collection
        if is_changed:
            self.index.use_settings(to_specs(self.collection))

    def begin_with(self, index: Shard | None, floor: int) -> None:
        """Start with what a snapshot held, or with nothing: then `floor` is that of the first page read."""
        if index is not None:
            self.index = index
            # They may have changed while it was read.
            index.use_settings(to_specs(self.collection))
            self.snapshot_seq = index.applied_seq
            self.floor = floor
        self.loaded = True

    def advance(self, prev_seq: int, entries: Sequence[FeedEntry], through_seq: int) -> bool:
        """Apply all that the feed holds in (prev_seq, through_seq]: a push or a page. Return False, changing nothing,
        when rows between here and `prev_seq` are missing, or no more can be taken now. Blocks its thread; one at a time
        a shard."""
        with self._one_applier:
            here = self.applied_seq
            if prev_seq > here:
                return False
            if through_seq > here:
                if self.is_full:
                    # Filled by those that were before this one.
                    return False
                self._apply([entry for entry in entries if entry.seq > here], through_seq)
                self._loop.call_soon_threadsafe(self.notify)
        return True

    async def changed(self) -> None:
        """Return when the shard has moved, become ready, or been dropped."""
        await self._changed.wait()

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _apply(self, entries: Sequence[FeedEntry], through_seq: int) -> None:
        # The first rows bring it, so that the first search need not wait for it.
        load_faiss()
        changes = self._reader.read(entries)
        try:
            self.index.apply(changes, through_seq)
        except InvalidVector:
            self.index.apply(self._reader.usable(changes), through_seq)
