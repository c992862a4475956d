"""What became of every item of an ingest: bookkeeping only, no threads and no network."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.client.sources import NewImage
from pixvec.client.values import Failure, IngestCounts
from pixvec.domain import IngestStage, ItemError, SeqToken, ShardPosition
from pixvec.errors import Overloaded

# Beyond this many, failures are counted only; the job lists them all.
FAILURES_KEPT = 10_000


@dataclass(slots=True)
class OpenItem:
    """An item on its way. `request` is None when it was sent and can be read from its file again."""

    ordinal: int
    image: NewImage
    request: pb.IngestRequest | None
    size_bytes: int
    stage: IngestStage | None = None


class IngestLedger:
    """Items are admitted, taken for sending, moved on by statuses, and closed at stage `wait` or by an error."""

    def __init__(self, wait: IngestStage, max_unaccepted: int, max_bytes: int) -> None:
        self._wait = wait
        self._max_unaccepted = max_unaccepted
        self._max_bytes = max_bytes
        self._next_ordinal = 0
        self._items: dict[int, OpenItem] = {}
        self._outgoing: deque[OpenItem] = deque()
        self._unaccepted = 0
        self._bytes_held = 0
        self._ended = {IngestStage.QUEUED: 0, IngestStage.DECODED: 0, IngestStage.EMBEDDED: 0, IngestStage.INDEXED: 0}
        self._failed = 0
        self._unchanged = 0
        self._linked = 0
        self._failures: list[Failure] = []
        self._positions: dict[int, tuple[str, int]] = {}

    @property
    def has_room(self) -> bool:
        """Whether another item may be admitted: few enough await acceptance, in number and in bytes."""
        return self._unaccepted < self._max_unaccepted and self._bytes_held < self._max_bytes

    @property
    def all_accepted(self) -> bool:
        """Whether the server has every admitted item for good."""
        return self._unaccepted == 0

    @property
    def all_closed(self) -> bool:
        """Whether every admitted item reached its end."""
        return not self._items

    @property
    def counts(self) -> IngestCounts:
        """How the items stand now."""
        by_stage = dict(self._ended)
        for item in tuple(self._items.values()):
            if item.stage is not None:
                by_stage[item.stage] += 1
        names = {stage.name.lower(): number for stage, number in by_stage.items()}
        marked = {"unchanged": self._unchanged, "linked": self._linked}
        return IngestCounts(total=self._next_ordinal, failed=self._failed, **marked, **names)

    @property
    def failures(self) -> list[Failure]:
        """The first failures, as many as are kept."""
        return list(self._failures)

    @property
    def token(self) -> SeqToken:
        """Covers every item indexed so far."""
        return SeqToken(tuple(ShardPosition(shard, *self._positions[shard]) for shard in sorted(self._positions)))

    def next_ordinal(self) -> int:
        """Number one more item."""
        self._next_ordinal += 1
        return self._next_ordinal - 1

    def admit(self, item: OpenItem) -> None:
        """Take an item to be sent."""
        self._items[item.ordinal] = item
        self._unaccepted += 1
        self._bytes_held += item.size_bytes
        self._outgoing.append(item)

    def take(self) -> OpenItem | None:
        """Return the next item to send, passing over those that the server turned out to have."""
        while self._outgoing:
            item = self._outgoing.popleft()
            if item.stage is None and item.ordinal in self._items:
                return item
        return None

    def sent(self, item: OpenItem) -> None:
        """Free the bytes of an item that can be read from its file again."""
        if item.image.path is not None:
            self._release(item)

    def reject(self, ordinal: int, image_id: str, error: ItemError, uri: str = "") -> None:
        """End an item that cannot be sent."""
        item = self._items.get(ordinal)
        if item is not None:
            self._close(item)
        self._note_failure(Failure(ordinal, image_id, error, uri))

    def resend_unaccepted(self) -> None:
        """Queue everything that the server may not have, in order."""
        self._outgoing = deque(item for item in self._items.values() if item.stage is None)

    def apply(self, statuses: Iterable[pb.IngestItemStatus]) -> bool:
        """Move items on. Return whether the server asked for a pause: its overload is no failure of an item."""
        pause = False
        for status in statuses:
            pause |= self._apply(status)
        return pause

    def _apply(self, status: pb.IngestItemStatus) -> bool:
        item = self._items.get(status.ordinal)
        if item is None:
            return False
        if not status.HasField("error"):
            self._advance(item, status)
            return False
        if status.error.reason == Overloaded.reason and item.stage is None:
            self._outgoing.append(item)
            return True
        error = ItemError(status.error.reason, status.error.message, status.error.retryable)
        self._close(item)
        self._note_failure(Failure(item.ordinal, item.image.image_id, error, item.image.uri or ""))
        return False

    def _advance(self, item: OpenItem, status: pb.IngestItemStatus) -> None:
        stage = IngestStage(status.stage)
        if status.HasField("position"):
            self._note_position(status.position.shard, status.position.epoch, status.position.seq)
        if item.stage is None:
            self._accept(item)
        item.stage = max(stage, item.stage or stage)
        if stage >= self._wait:
            self._close(item)
            self._ended[stage] += 1
            self._unchanged += status.unchanged
            self._linked += bool(status.duplicate_of)

    def _accept(self, item: OpenItem) -> None:
        self._unaccepted -= 1
        self._release(item)

    def _close(self, item: OpenItem) -> None:
        if item.stage is None:
            self._accept(item)
        del self._items[item.ordinal]

    def _release(self, item: OpenItem) -> None:
        self._bytes_held -= item.size_bytes
        item.size_bytes = 0
        item.request = None

    def _note_failure(self, failure: Failure) -> None:
        self._failed += 1
        if len(self._failures) < FAILURES_KEPT:
            self._failures.append(failure)

    def _note_position(self, shard: int, epoch: str, seq: int) -> None:
        known = self._positions.get(shard)
        if known is None or known[0] != epoch or known[1] < seq:
            self._positions[shard] = (epoch, seq)
