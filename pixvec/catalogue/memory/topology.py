"""Searchers, and which of them holds what."""

from collections import defaultdict
from collections.abc import Sequence

from pixvec.catalogue.memory.state import Holding, PlacedShard, Searcher, Store, locked
from pixvec.catalogue.placement import Placed, plan_moves
from pixvec.catalogue.sharding import shard_of
from pixvec.catalogue.topology import (
    Assignment,
    Holder,
    KnownSearcher,
    Replica,
    Routing,
    ShardReport,
    ShardStanding,
)


class MemoryTopologyStore(Store):
    """TopologyStore in memory."""

    @locked
    def heartbeat(self, searcher_id: str, address: str, reports: Sequence[ShardReport], *, lease_s: float) -> None:
        """Register a searcher or renew its lease, and note how its shards stand."""
        state = self._state
        known = state.searchers.get(searcher_id)
        changed = known is None or known.address != address or known.expires <= state.clock()
        state.searchers[searcher_id] = Searcher(address, state.clock() + lease_s)
        reported = {(report.collection_id, report.shard): report for report in reports}
        for (collection_id, shard, holder), placed in state.placements.items():
            if holder == searcher_id:
                report = reported.get((collection_id, shard), ShardReport(collection_id, shard, False, 0))
                changed |= report.ready != placed.ready
                placed.ready, placed.snapshot_seq = report.ready, report.snapshot_seq
        state.routing_version += changed

    @locked
    def assignments(self, searcher_id: str) -> list[Assignment]:
        """Return the shards this searcher has to hold now, with their heads."""
        found = []
        for collection_id, number, holder in sorted(self._state.placements):
            if holder == searcher_id:
                holding = self._state.holding(collection_id)
                shard = holding.shards[number]
                place = (shard.epoch, shard.head_seq, shard.tombstone_floor)
                found.append(Assignment(holding.collection, number, *place))
        return found

    @locked
    def routing(self) -> Routing:
        """Return who holds what now, leaving out searchers past their lease."""
        state, live = self._state, set(self._state.live_searchers())
        replicas: dict[tuple[int, int], list[Replica]] = defaultdict(list)
        for (collection_id, shard, searcher_id), placed in sorted(state.placements.items(), key=lambda each: each[0]):
            if searcher_id in live:
                replica = Replica(searcher_id, state.searchers[searcher_id].address, placed.ready)
                replicas[collection_id, shard].append(replica)
        return Routing(state.routing_version, {shard: tuple(holders) for shard, holders in replicas.items()})

    @locked
    def rebalance(self, replicas: int, *, grace_s: float = 0.0) -> bool:
        """Place every shard on `replicas` live searchers; those missed for less than `grace_s` keep what they hold."""
        state = self._state
        shards = [
            (collection_id, number)
            for collection_id, holding in state.holdings.items()
            for number in range(len(holding.shards))
            if not holding.deleted
        ]
        placed = [Placed(*key, ready=each.ready) for key, each in state.placements.items()]
        moves = plan_moves(shards, placed, state.live_searchers(), replicas, state.missed_searchers(grace_s))
        for key in moves.added:
            state.placements[key] = PlacedShard()
        for key in moves.removed:
            del state.placements[key]
        changed = bool(moves.added or moves.removed)
        state.routing_version += changed
        return changed

    @locked
    def shards(self, collection_id: int | None = None) -> list[ShardStanding]:
        """Return how the shards of one collection or of all stand, by collection name and shard."""
        holdings = [each for each in self._state.holdings.values() if not each.deleted]
        wanted = [each for each in holdings if collection_id in (None, each.collection.collection_id)]
        found = [self._standing(holding, number) for holding in wanted for number in range(len(holding.shards))]
        return sorted(found, key=lambda each: (each.collection, each.shard))

    @locked
    def searchers(self) -> list[KnownSearcher]:
        """Return the searchers that live or are to hold something, by id."""
        live, placed = set(self._state.live_searchers()), {key[2] for key in self._state.placements}
        return [
            KnownSearcher(searcher_id, self._state.searchers[searcher_id].address, searcher_id in live)
            for searcher_id in sorted(live | placed)
        ]

    def _standing(self, holding: Holding, number: int) -> ShardStanding:
        collection, shard = holding.collection, holding.shards[number]
        placed = sorted(self._state.placements.items(), key=lambda each: each[0])
        holders = [
            Holder(key[2], each.ready, each.snapshot_seq)
            for key, each in placed
            if key[:2] == (collection.collection_id, number)
        ]
        live = (image_id for image_id, image in holding.images.items() if image.live_generation is not None)
        return ShardStanding(
            collection.collection_id,
            collection.name,
            number,
            shard.epoch,
            shard.head_seq,
            shard.truncated_seq,
            sum(shard_of(image_id, len(holding.shards)) == number for image_id in live),
            tuple(holders),
        )
