"""Waits until a shard has applied what a caller has written."""

import asyncio

from pixvec.domain import ShardPosition
from pixvec.errors import ShardUnavailable, StaleToken
from services.searcher.follower import Follower
from services.searcher.held_shard import HeldShard
from services.searcher.shard_host import ShardHost


class Freshness:
    """Waiting costs nothing: whoever applies wakes the waiters."""

    def __init__(self, host: ShardHost, follower: Follower) -> None:
        self._host = host
        self._follower = follower

    async def wait(self, collection_id: int, position: ShardPosition, limit_s: float) -> None:
        """Return when the shard is ready and has applied the position. Raises ShardUnavailable when it has not within
        `limit_s` seconds, and StaleToken when the position is from another life of the feed."""
        key = (collection_id, position.shard)
        try:
            async with asyncio.timeout(limit_s):
                while not await self._is_there(key, position):
                    pass
        except TimeoutError:
            raise _too_late(self._host.get(key), collection_id, position) from None

    async def _is_there(self, key: tuple[int, int], position: ShardPosition) -> bool:
        """Return whether the shard has applied the position, or False once it may have."""
        held = self._host.get(key)
        if held is None or held.epoch != position.epoch:
            await self._follower.polled()
            held = self._host.get(key)
            _check_epoch(held, key, position)
            return False
        if held.ready and held.applied_seq >= position.seq:
            return True
        self._follower.catch_up(held)
        await held.changed()
        return False


def _check_epoch(held: HeldShard | None, key: tuple[int, int], position: ShardPosition) -> None:
    if held is None:
        raise ShardUnavailable(f"shard {position.shard} of collection {key[0]} is not held by this searcher")
    if held.epoch != position.epoch:
        raise StaleToken(
            f"the token is of epoch {position.epoch} of shard {position.shard}, which is at epoch {held.epoch} now: "
            "the feed was renewed since; read again without the token, and write again what is missing",
            field="token",
        )


def _too_late(held: HeldShard | None, collection_id: int, position: ShardPosition) -> ShardUnavailable:
    applied = "nothing yet" if held is None else str(held.applied_seq)
    state = "" if held is None or held.ready else ", and is still loading"
    return ShardUnavailable(
        f"shard {position.shard} of collection {collection_id} has applied {applied}, not {position.seq} as asked, "
        f"within the deadline{state}; try again, or read with EVENTUAL consistency",
        retry_after_s=0.2,
    )
