"""Follows the change feed: holds what is assigned, catches up what is behind, tells the catalogue how it stands."""

import asyncio
import time
from collections.abc import Callable

from pixvec.catalogue.topology import ShardReport, TopologyStore
from pixvec.errors import DatabaseUnavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from services.searcher.catch_up import CatchUp
from services.searcher.held_shard import HeldShard
from services.searcher.shard_host import ShardHost
from services.searcher.snapshots import Snapshots

log = get_logger(__name__)

_LONGEST_PAUSE_S = 2.0
# However often it is woken, a searcher is no burden on the database.
_SHORTEST_PAUSE_S = 0.005


class Follower:
    """One loop a searcher, and one task for every shard that is behind."""

    def __init__(
        self,
        host: ShardHost,
        topology: TopologyStore,
        catch_up: CatchUp,
        snapshots: Snapshots,
        database: BlockingCalls,
        *,
        searcher_id: str,
        address: Callable[[], str],
        poll_s: float,
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._topology = topology
        self._catch_up = catch_up
        self._snapshots = snapshots
        self._database = database
        self._searcher_id = searcher_id
        self._address = address
        self._poll_s = poll_s
        self._lease_s = lease_s
        self._clock = clock
        self._woken = asyncio.Event()
        self._awaiting_poll: list[asyncio.Future[None]] = []
        self._catching_up: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._once_more: set[tuple[int, int]] = set()
        self._told: list[ShardReport] | None = None
        self._tell_at = 0.0
        self._is_first_poll = True

    async def run(self) -> None:
        """Follow until cancelled, through outages of the database."""
        failures = 0
        try:
            while True:
                self._woken.clear()
                failures = 0 if await self._is_polled(failures) else failures + 1
                await self._pause(failures)
        finally:
            for task in self._catching_up.values():
                task.cancel()

    async def poll(self) -> None:
        """Do once what `run` does over and over. Raises DatabaseUnavailable."""
        waiting, self._awaiting_poll = self._awaiting_poll, []
        try:
            await self._poll()
        except DatabaseUnavailable:
            self._awaiting_poll += waiting
            raise
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def _poll(self) -> None:
        stood_at = {held.key: held.applied_seq for held in self._host}
        assignments = await self._database.run(self._topology.assignments, self._searcher_id)
        for held in self._host.reconcile(assignments, stood_at):
            self._snapshots.forget(held)
        if self._is_first_poll:
            self._snapshots.forget_all_but({held.key for held in self._host})
            self._is_first_poll = False
        for held in self._host:
            is_behind = not held.ready or held.applied_seq < held.head_seq
            if is_behind and held.key not in self._catching_up:
                self.catch_up(held)
        await self._tell()

    def wake(self) -> None:
        """Poll now rather than at the next turn."""
        self._woken.set()

    def catch_up(self, held: HeldShard) -> None:
        """Read the feed of this shard now, or once more if that is under way: it may have read the last page."""
        if held.dropped:
            return
        if held.key in self._catching_up:
            self._once_more.add(held.key)
            return
        task = asyncio.get_running_loop().create_task(self._catch_up.run(held))
        self._catching_up[held.key] = task
        task.add_done_callback(lambda ended: self._caught_up(held, ended))

    async def polled(self) -> None:
        """Return after a poll that began after this call: what is held then is what the catalogue says now."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaiting_poll.append(waiter)
        self.wake()
        await waiter

    def _caught_up(self, held: HeldShard, ended: asyncio.Task[None]) -> None:
        del self._catching_up[held.key]
        is_wanted_again = held.key in self._once_more
        self._once_more.discard(held.key)
        error = None if ended.cancelled() else ended.exception()
        if error is not None and not isinstance(error, DatabaseUnavailable):
            log.error("catch_up_failed", collection=held.collection.name, shard=held.shard, exc_info=error)
            return
        if is_wanted_again and error is None and not ended.cancelled():
            self.catch_up(held)
        if held.dropped or self._told is None or held.report not in self._told:
            self.wake()

    async def _is_polled(self, failures: int) -> bool:
        """Poll; return whether the database could be reached. An outage is logged once."""
        try:
            await self.poll()
        except DatabaseUnavailable as error:
            if not failures:
                log.warning("database_lost", error=error.message, note="searching goes on with what is held")
            return False
        if failures:
            log.info("database_back")
        return True

    async def _pause(self, failures: int) -> None:
        """Wait for the next turn; a wake ends the wait, except in an outage."""
        if failures:
            await asyncio.sleep(min(self._poll_s * 2 ** min(failures, 10), _LONGEST_PAUSE_S))
            return
        await asyncio.sleep(_SHORTEST_PAUSE_S)
        try:
            async with asyncio.timeout(self._poll_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _tell(self) -> None:
        """Renew the lease when it is due, and at once when a shard's standing has changed."""
        reports = self._host.reports()
        now = self._clock()
        if reports == self._told and now < self._tell_at:
            return
        await self._database.run(self._heartbeat, reports)
        self._told, self._tell_at = reports, now + self._lease_s / 4

    def _heartbeat(self, reports: list[ShardReport]) -> None:
        self._topology.heartbeat(self._searcher_id, self._address(), reports, lease_s=self._lease_s)
