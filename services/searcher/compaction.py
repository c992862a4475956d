"""Builds sealed segments in the background: one at a time, the shard that needs it most first."""

import asyncio
import functools
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

from pixvec.index.durable import Damaged
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import seal
from pixvec.index.shard import Shard
from pixvec.index.space_rows import Build
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import BUILD_FAILURES, BUILD_SECONDS
from services.searcher.builder_process import BuildHurried, BuildsEnded, IndexMaker
from services.searcher.data_folder import DataFolder
from services.searcher.held_shard import HeldShard
from services.searcher.shard_host import ShardHost
from services.searcher.snapshots import Snapshots

log = get_logger(__name__)

# A shard that has not moved for so long is idle: then even a small growing part is worth an index.
IDLE_S = 10.0
# A space with so many times the growing rows that are worth a segment is behind.
BEHIND_SEALS = 3
# How soon a build that goes on learns that a shard is behind.
HURRY_INTERVAL_S = 1.0
# A space whose build has failed is left alone for so long.
RETRY_S = 30.0


class Compaction:
    """`building` has one thread, which alone waits for a shard's writer. What a build has finished is written into a
    snapshot at once: a restart keeps it."""

    def __init__(
        self,
        host: ShardHost,
        data: DataFolder,
        snapshots: Snapshots,
        building: BlockingCalls,
        make_index: IndexMaker,
        policy: Callable[[], BuildPolicy],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._data = data
        self._snapshots = snapshots
        self._building = building
        self._make_index = make_index
        self._policy = policy
        self._clock = clock
        self._moved: dict[tuple[int, int], tuple[int, float]] = {}
        # When the last build of a space failed, until one succeeds. For the thread of builds.
        self._failed: WeakKeyDictionary[HeldShard, dict[str, float]] = WeakKeyDictionary()

    async def run(self, interval_s: float) -> None:
        """Build what is worth it, over and over, until cancelled. A build that fails is tried again in a while."""
        while True:
            built = await self.build_all()
            await asyncio.sleep(0 if built else interval_s)

    async def build_all(self) -> bool:
        """Let every shard build what it needs most, those that are behind first, and again after each build while there
        are any. Return whether anything was built."""
        built = False
        for held in sorted(self._host, key=lambda held: (not held.is_full, not self._is_behind(held))):
            built = bool(await self.build_next(held)) or built
            if built and self._is_one_behind():
                break
        return built

    async def build_next(self, held: HeldShard) -> bool | None:
        """Do the build that this shard needs most. Return whether there was one, None when it failed: then its space
        is left alone for a while, other spaces and shards are not."""
        # Also while it catches up: a long feed would fill the growing part, which then takes no more of it.
        if not held.loaded or held.dropped:
            return False
        index, policy = held.index, self._policy()
        is_idle = self._is_idle(held)
        if held.is_full:
            # However few rows fill it: no more of them come until they are sealed.
            policy, is_idle = replace(policy, least_rows=1), True
        build = await self._building.run(self._begin, held, index, policy, is_idle)
        if build is None:
            return False
        is_urgent = self._is_one_behind()
        try:
            built = await self._hurried(self._building.start(self._build, held, index, build, is_urgent))
        except BuildHurried:
            # Nothing was built that a snapshot could keep.
            return True
        if built:
            held.has_unsaved_build = True
            await self._snapshots.write(held)
        return built

    async def _hurried(self, building: "asyncio.Future[bool | None]") -> bool | None:
        """Wait for a build. It is hurried as soon as a shard is behind, whichever: that one's turn is the next."""
        while not (await asyncio.wait({building}, timeout=HURRY_INTERVAL_S))[0]:
            if self._is_one_behind():
                self._make_index.hurry()
        return building.result()

    def _is_one_behind(self) -> bool:
        return any(map(self._is_behind, self._host))

    def _is_behind(self, held: HeldShard) -> bool:
        """Whether more grows than builds have sealed in what searches leave of the processor: they compare each growing
        row, and a full shard takes no writes."""
        growing = (view.growing.row_count for view in held.index.view.spaces.values())
        return held.is_full or max(growing, default=0) > BEHIND_SEALS * self._policy().seal_rows

    def _begin(self, held: HeldShard, index: Shard, policy: BuildPolicy, is_idle: bool) -> Build | None:
        # In the thread of builds: it waits for a batch that is being applied.
        failed, now = self._failed.get(held, {}), self._clock()
        waiting = {space for space, since in failed.items() if now - since < RETRY_S}
        return index.begin_build(policy, is_idle=is_idle, without=waiting, alone=failed)

    def _build(self, held: HeldShard, index: Shard, build: Build, is_urgent: bool) -> bool | None:
        begun = time.perf_counter()
        try:
            make_index = functools.partial(self._make_index, is_urgent=is_urgent)
            segment = seal(self._data.of_shard(held.key), build, make_index)
        except BuildHurried:
            index.abandon_build(build)
            raise
        except (OSError, Damaged) as error:
            index.abandon_build(build)
            if held.dropped or isinstance(error, BuildsEnded):
                # Its folder has been removed under the build, or this searcher is shutting down.
                return False
            self._failed.setdefault(held, {})[build.space.name] = self._clock()
            BUILD_FAILURES.inc()
            held.build_error = str(error)
            log.error("build_failed", collection=held.collection.name, shard=held.shard, error=str(error))
            return None
        index.finish_build(build, segment)
        held.build_error = ""
        self._failed.get(held, {}).pop(build.space.name, None)
        if held.dropped and segment is not None:
            # Its folder may have been removed before this one was made.
            shutil.rmtree(segment.folder, ignore_errors=True)
            return False
        seconds = time.perf_counter() - begun
        BUILD_SECONDS.labels(build.kind).observe(seconds)
        log.info(
            "segment_built",
            collection=held.collection.name,
            shard=held.shard,
            space=build.space.name,
            kind=build.kind,
            rows=build.row_count,
            sources=len(build.sources),
            seconds=round(seconds, 3),
        )
        return True

    def _is_idle(self, held: HeldShard) -> bool:
        now, seq = self._clock(), held.applied_seq
        last_seq, since = self._moved.get(held.key, (-1, now))
        if last_seq != seq:
            self._moved[held.key] = (seq, now)
            return False
        return now - since >= IDLE_S
