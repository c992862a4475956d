"""The sweeper: publishes again what went silent, places shards, closes what was abandoned, prunes. Any number may run.

Each step fails alone and is tried again in the next round; a silence that has lasted is what makes work to do, so
nothing here needs to be remembered.
"""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from pixvec.blobs.store import FsspecBlobStore
from pixvec.catalogue import postgres
from pixvec.catalogue.interfaces import Catalogue, ChunkRef
from pixvec.errors import DatabaseUnavailable, PixvecError, Unavailable
from pixvec.jobs.queue import CeleryChunkQueue, ChunkQueue
from pixvec.settings import SweeperSettings, read_settings
from pixvec.telemetry.exposition import serve_metrics
from pixvec.telemetry.logging import configure_logging, get_logger
from pixvec.telemetry.metrics import SWEEPER_PRUNED, SWEEPER_REPUBLISHED
from workers.base_upkeep import BaseUpkeep
from workers.blob_sweep import BlobSweep

log = get_logger(__name__)

_ROWS_A_ROUND = 5_000
_CHUNKS_A_ROUND = 500
_CLOSE_EVERY_S = 60.0
# After a start or an outage gateways are given time to say which streams are open.
_CALM_S = 300.0
# A machine that was suspended had no outage that anything could have noticed.
_LONGEST_GAP_S = 30.0


class Sweeper:
    """One round of upkeep after the other."""

    def __init__(
        self,
        catalogue: Catalogue,
        queue: ChunkQueue,
        *,
        silence_s: float,
        replicas: int,
        searcher_grace_s: float = 60.0,
        abandoned_s: float = 3600.0,
        keep_jobs_s: float = 30 * 86400.0,
        blobs: BlobSweep | None = None,
        bases: BaseUpkeep | None = None,
        truncates: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._queue = queue
        self._silence_s = silence_s
        self._replicas = replicas
        self._searcher_grace_s = searcher_grace_s
        self._abandoned_s = abandoned_s
        self._keep_jobs_s = keep_jobs_s
        self._blobs = blobs
        self._bases = bases
        self._truncates = truncates
        self._clock = clock
        self._failing: set[str] = set()
        self._swept_at = clock()
        self._close_at = self._replace_at = 0.0
        self._be_patient()

    def sweep(self) -> None:
        """Do one round."""
        if self._clock() - self._swept_at > _LONGEST_GAP_S:
            self._be_patient()
        upkeep = (self.place, self.republish, self.replan, self.train, self.close)
        for step in (*upkeep, self.prune, self.trim, self.forget, self.purge, self.free, self.keep_bases):
            self._try(step)
        self._swept_at = self._clock()

    def place(self) -> None:
        """Place shards on the searchers that live. One that has only just been missed may come back to its own."""
        waits = self._clock() < self._replace_at
        if self._catalogue.topology.rebalance(self._replicas, grace_s=math.inf if waits else self._searcher_grace_s):
            log.info("shards_placed")

    def republish(self) -> None:
        """Publish again chunks that nobody works on. While as many messages still wait in the queue, those that nobody
        has begun are likely among them; those that a worker has let down are not, as their message was taken."""
        jobs = self._catalogue.jobs
        self._publish(jobs.deserted(self._silence_s, _CHUNKS_A_ROUND))
        silent = jobs.unattended(self._silence_s, _CHUNKS_A_ROUND)
        if silent and self._queue.depth() < len(silent):
            self._publish(silent)

    def _publish(self, refs: Sequence[ChunkRef]) -> None:
        if refs:
            self._queue.publish(refs)
            self._catalogue.jobs.mark_published(refs)
            SWEEPER_REPUBLISHED.inc(len(refs))
            log.info("chunks_republished", chunks=len(refs))

    def replan(self) -> None:
        """Ask again for jobs whose planner has gone silent, each once in a while: a long listing is silent too."""
        silent = self._catalogue.jobs.unplanned(self._silence_s, _CHUNKS_A_ROUND)
        for job_id in silent:
            self._queue.publish_plan(job_id)
        self._catalogue.jobs.touch(silent)

    def train(self) -> None:
        """Publish again trainings that nobody works on: their message was lost, or their worker was."""
        silent = self._catalogue.trainings.silent(self._silence_s, _CHUNKS_A_ROUND)
        for job_id in silent:
            self._queue.publish_training(job_id)
        self._catalogue.jobs.touch(silent)
        if silent:
            log.info("trainings_republished", trainings=len(silent))

    def close(self) -> None:
        """Close streaming jobs whose callers stay away."""
        if self._clock() < self._close_at:
            return
        self._close_at = self._clock() + _CLOSE_EVERY_S
        closed = self._catalogue.jobs.close_abandoned(self._abandoned_s, _CHUNKS_A_ROUND)
        if closed:
            log.info("jobs_closed", jobs=closed)

    def prune(self) -> None:
        """Remove tombstones that every follower and every base has passed."""
        SWEEPER_PRUNED.labels("feed").inc(self._catalogue.feed_reader.prune_tombstones(_ROWS_A_ROUND))

    def trim(self) -> None:
        """Remove what lies below the place where a feed was truncated, if feeds are to be."""
        if self._truncates:
            SWEEPER_PRUNED.labels("truncated").inc(self._catalogue.feed_reader.prune_truncated(_ROWS_A_ROUND))

    def forget(self) -> None:
        """Remove jobs that ended long ago."""
        SWEEPER_PRUNED.labels("jobs").inc(self._catalogue.jobs.prune(self._keep_jobs_s, _ROWS_A_ROUND))

    def purge(self) -> None:
        """Remove rows of deleted collections."""
        SWEEPER_PRUNED.labels("collections").inc(self._catalogue.collections.purge(_ROWS_A_ROUND))

    def free(self) -> None:
        """Free bytes that nothing refers to."""
        if self._blobs is not None:
            SWEEPER_PRUNED.labels("blobs").inc(self._blobs.sweep())

    def keep_bases(self) -> None:
        """Look after the backups of shards."""
        if self._bases is not None:
            self._bases.sweep()

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except PixvecError as error:
            if step.__name__ not in self._failing:
                expected = isinstance(error, Unavailable)
                log.warning("step_failed", step=step.__name__, error=error.message, exc_info=not expected)
            self._failing.add(step.__name__)
            if isinstance(error, DatabaseUnavailable):
                self._be_patient()
        else:
            self._failing.discard(step.__name__)

    def _be_patient(self) -> None:
        """While the database was away nobody could say that they live: count silence from now on."""
        self._close_at = self._clock() + _CALM_S
        self._replace_at = self._clock() + self._searcher_grace_s


def blob_sweep(settings: SweeperSettings, catalogue: Catalogue) -> BlobSweep | None:
    """Return what frees bytes, None where the blob store is to be left alone."""
    if not settings.sweeper_blob_grace_h:
        return None
    grace_s = settings.sweeper_blob_grace_h * 3600
    return BlobSweep(FsspecBlobStore(settings.blob_url), catalogue.images, grace_s=grace_s)


def base_upkeep(settings: SweeperSettings, catalogue: Catalogue) -> BaseUpkeep | None:
    """Return what looks after backups, None without a blob store."""
    if not settings.blob_url:
        return None
    return BaseUpkeep(
        catalogue.bases,
        FsspecBlobStore(settings.blob_url),
        truncates=settings.sweeper_truncate_feed,
        grace_s=settings.sweeper_snapshot_grace_days * 86400,
    )


def main() -> None:
    """Wire and run a sweeper until it is told to stop."""
    settings = read_settings(SweeperSettings)
    configure_logging("sweeper", level=settings.log_level, json=settings.log_json)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        serve_metrics(settings.metrics_host, settings.metrics_port)
        catalogue = postgres.connect(settings.database_url, pool_size=1)
        queue = CeleryChunkQueue(settings.broker_url)
        bases = base_upkeep(settings, catalogue)
        sweeper = Sweeper(
            catalogue,
            queue,
            silence_s=settings.sweeper_silence_s,
            replicas=settings.replicas,
            searcher_grace_s=settings.sweeper_searcher_grace_s,
            abandoned_s=settings.sweeper_abandoned_s,
            keep_jobs_s=settings.sweeper_keep_jobs_days * 86400,
            blobs=blob_sweep(settings, catalogue),
            bases=bases,
            truncates=settings.sweeper_truncate_feed,
        )
        while not stopped.wait(settings.sweeper_interval_s):
            sweeper.sweep()
        if bases is not None:
            bases.close()
        queue.close()
        catalogue.close()
    except (PixvecError, OSError) as error:
        log.error("sweeper_failed", error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
