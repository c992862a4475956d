"""Looks after the backups of shards: lets feeds begin at them, retires old ones, and removes what nobody needs."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from pixvec.backups.checking import check_backup
from pixvec.backups.removing import remove_backup
from pixvec.blobs.store import FileStore
from pixvec.catalogue.bases import BaseStore
from pixvec.domain import BaseSnapshot
from pixvec.errors import BackupDamaged, Unavailable
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import BASES_REFUSED, FEEDS_TRUNCATED, SWEEPER_PRUNED

log = get_logger(__name__)

KEPT = 2
# A backup that was begun so long ago is not under way any more.
OPEN_S = 86_400.0
_EVERY_S = 60.0


class BaseUpkeep:
    """One round after the other, in a thread of its own: a backup takes long to read. Any number may run."""

    def __init__(
        self,
        bases: BaseStore,
        blobs: FileStore,
        *,
        truncates: bool,
        grace_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bases = bases
        self._blobs = blobs
        self._truncates = truncates
        self._grace_s = grace_s
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bases")
        self._running: Future[None] | None = None
        self._next_at = 0.0
        self._closed = False

    def sweep(self) -> None:
        """Begin a round if one is due and none is under way. Raises what the last one ended with."""
        if self._running is None:
            if self._clock() >= self._next_at:
                self._next_at = self._clock() + _EVERY_S
                self._running = self._thread.submit(self.run)
        elif self._running.done():
            ended, self._running = self._running, None
            ended.result()

    def close(self) -> None:
        """Begin nothing more, and wait until what is under way has noticed."""
        self._closed = True
        self._thread.shutdown(cancel_futures=True)

    def run(self) -> None:
        """Do one round. Raises Unavailable when the database or the blob store cannot be reached."""
        self._bases.retire(KEPT, OPEN_S)
        for base in self._bases.retired(self._grace_s):
            self._remove(base)
        for base in self._bases.truncatable() if self._truncates else ():
            self._truncate(base)

    def _truncate(self, base: BaseSnapshot) -> None:
        """Let the feed begin at the base, right after every byte of it was read through once more."""
        try:
            check_backup(self._blobs, base, self._go_on)
        except BackupDamaged as damage:
            BASES_REFUSED.inc()
            log.error("base_damaged", base=base.base_id, why=damage.message, note="the feed is not truncated")
            self._bases.note_damage(base.base_id, damage.message)
            return
        if self._bases.truncate(base.base_id):
            FEEDS_TRUNCATED.inc()
            log.info("feed_truncated", collection_id=base.collection_id, shard=base.shard, seq=base.seq)

    def _remove(self, base: BaseSnapshot) -> None:
        self._go_on()
        others = self._bases.of_shard(base.collection_id, base.shard)
        try:
            files = remove_backup(self._blobs, base, [each for each in others if each.base_id != base.base_id])
        except BackupDamaged as damage:
            log.warning("base_not_removed", base=base.base_id, why=damage.message)
            return
        self._bases.remove(base.base_id)
        SWEEPER_PRUNED.labels("bases").inc()
        log.info("base_removed", base=base.base_id, files=files)

    def _go_on(self) -> None:
        if self._closed:
            raise Unavailable("the sweeper is shutting down")
