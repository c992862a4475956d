"""The shards this searcher holds now: found by readers, moved by the follower."""

from collections.abc import Iterator, Sequence

from pixvec.catalogue.topology import Assignment, ShardReport
from pixvec.domain import ShardKey
from pixvec.telemetry import metrics
from pixvec.telemetry.logging import get_logger
from services.searcher.changes import to_specs
from services.searcher.growing_budget import GrowingBudget
from services.searcher.held_shard import HeldShard
from services.searcher.recall import forget_recall

log = get_logger(__name__)

_GAUGES = (
    metrics.SHARD_APPLIED_SEQ,
    metrics.SHARD_LAG,
    metrics.SHARD_IMAGES,
    metrics.SHARD_VECTOR_BYTES,
    metrics.SHARD_SEGMENTS,
)


class ShardHost:
    """Belongs to the event loop. `max_growing_bytes`: of one shard; `max_all_growing_bytes`: of all together."""

    def __init__(self, *, max_growing_bytes: int = 2**40, max_all_growing_bytes: int = 2**40) -> None:
        self._budget = GrowingBudget(max_growing_bytes, max_all_growing_bytes, self._growing)
        self._shards: dict[ShardKey, HeldShard] = {}

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[HeldShard]:
        return iter(list(self._shards.values()))

    def get(self, key: ShardKey) -> HeldShard | None:
        """Return the shard if it is held here."""
        return self._shards.get(key)

    def reports(self) -> list[ShardReport]:
        """Return how every shard stands."""
        return [held.report for held in self]

    def reconcile(self, assignments: Sequence[Assignment], stood_at: dict[ShardKey, int]) -> list[HeldShard]:
        """Hold exactly the assigned shards; return those that were dropped. `stood_at`: positions from before the
        assignments were read."""
        wanted = {(each.collection.collection_id, each.shard): each for each in assignments}
        dropped = [held for held in self if (why := _reason_to_drop(held, wanted.get(held.key), stood_at))]
        for held in dropped:
            self.drop(held, why)
        for key, assignment in wanted.items():
            held = self._shards.get(key) or self._hold(key, assignment)
            held.use(assignment)
            _measure(held)
        return dropped

    def drop(self, held: HeldShard, why: str) -> None:
        """Hold this shard no longer: what is here is of no use, or not wanted."""
        log.info("shard_dropped", collection=held.collection.name, shard=held.shard, epoch=held.epoch, why=why)
        held.dropped, held.ready = True, False
        if self._shards.get(held.key) is held:
            del self._shards[held.key]
        for gauge in _GAUGES:
            gauge.remove(held.collection.name, str(held.shard))
        forget_recall(held)
        held.notify()

    def _growing(self) -> list[int]:
        return [held.index.growing_bytes for held in self]

    def _hold(self, key: ShardKey, assignment: Assignment) -> HeldShard:
        held = self._shards[key] = HeldShard(assignment, self._budget)
        log.info("shard_held", collection=held.collection.name, shard=held.shard, epoch=held.epoch)
        return held


def _reason_to_drop(held: HeldShard, assignment: Assignment | None, stood_at: dict[ShardKey, int]) -> str:
    if assignment is None:
        return "not assigned"
    if assignment.epoch != held.epoch:
        return "epoch renewed"
    # Other index settings are no reason: they hold for what is built from now on.
    if to_specs(assignment.collection) != held.identity.spaces:
        return "spaces changed"
    if assignment.head_seq < stood_at.get(held.key, 0):
        # A feed that lost its end would hand out the same numbers again, for other rows.
        return "feed went back"
    return ""


def _measure(held: HeldShard) -> None:
    index = held.index
    values = (held.applied_seq, held.head_seq - held.applied_seq, index.image_count, index.vector_bytes)
    # Of the view: to ask for names would wait for a batch that is being applied.
    segments = sum(len(space.sealed) for space in index.view.spaces.values())
    for gauge, value in zip(_GAUGES, (*values, segments), strict=True):
        gauge.labels(held.collection.name, str(held.shard)).set(value)
