"""Who held a shard before an outage of the database: it searches on, though its lease ran out meanwhile."""

import time
from collections.abc import Callable

from pixvec.catalogue.topology import Replica, Routing

# Longer than any searcher takes to say that it lives once the database is back.
_TRUSTED_S = 30.0


class LastKnown:
    """Remembers who was ready to answer for a shard, for a while after an outage."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready: dict[tuple[int, int], tuple[Replica, ...]] = {}
        self._outage_at = float("-inf")

    def lost(self) -> None:
        """Note that the routing could not be read."""
        self._outage_at = self._clock()

    def completed(self, routing: Routing) -> Routing:
        """Return the routing, after an outage with those who last held the shards that nobody speaks for yet."""
        if self._clock() - self._outage_at >= _TRUSTED_S:
            self._ready = {shard: held for shard, held in routing.replicas.items() if any(each.ready for each in held)}
            return routing
        return Routing(routing.version, {**self._ready, **routing.replicas})
