"""How the items of one Ingest stream stand: which are open, in which chunks, and what is to be reported."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pixvec.catalogue.interfaces import ChunkProgress, ItemStatus
from pixvec.domain import IngestStage


@dataclass(slots=True)
class _Chunk:
    """A chunk under way. `items` is None for one of an earlier stream, whose items have to be read."""

    stage: IngestStage
    items: tuple[tuple[int, str], ...] | None


class StreamLedger:
    """Items are open from their arrival until their closing status has been sent, chunks while they need following."""

    def __init__(self, wait: IngestStage) -> None:
        self._wait = wait
        self._open: set[int] = set()
        self._chunks: dict[int, _Chunk] = {}
        self._followed: set[int] = set()

    @property
    def open_count(self) -> int:
        """Items of this stream whose closing status has not been sent."""
        return len(self._open)

    @property
    def open_chunks(self) -> Collection[int]:
        """Chunks to follow."""
        return self._chunks.keys()

    @property
    def all_closed(self) -> bool:
        """Whether there is nothing left to report."""
        return not self._open and not self._chunks

    def arrived(self, ordinal: int) -> None:
        """Note an item that came off the stream."""
        self._open.add(ordinal)

    def sent(self, statuses: Iterable[ItemStatus]) -> None:
        """Note what the caller has been told."""
        self._open.difference_update(status.ordinal for status in statuses if self._closes(status))

    def added(self, chunk: int | None, statuses: Sequence[ItemStatus]) -> bool:
        """Note what was recorded. Return whether every open item of it is followed; otherwise the chunks that an
        earlier stream left open have to be adopted."""
        open_items = tuple((each.ordinal, each.image_id) for each in statuses if not self._closes(each))
        unknown = [ordinal for ordinal, _ in open_items if ordinal not in self._followed]
        if chunk is None:
            return not unknown
        accepted = tuple(item for item in open_items if item[0] not in self._followed)
        if accepted:
            self._chunks[chunk] = _Chunk(IngestStage.QUEUED, accepted)
            self._followed.update(ordinal for ordinal, _ in accepted)
        return True

    def adopt(self, progress: Iterable[ChunkProgress], statuses: Iterable[ItemStatus]) -> None:
        """Follow the chunks that an earlier stream of the job left open; `statuses` is of every item of the job."""
        if self._wait is IngestStage.QUEUED:
            return
        for each in progress:
            if each.chunk not in self._chunks and not each.ended:
                self._chunks[each.chunk] = _Chunk(IngestStage.QUEUED, None)
        self._followed.update(status.ordinal for status in statuses if not self._closes(status))

    def progressed(self, progress: Iterable[ChunkProgress]) -> tuple[list[ItemStatus], list[int]]:
        """Return the statuses that a chunk's stage implies, and the chunks whose items have to be read."""
        implied: list[ItemStatus] = []
        to_read: list[int] = []
        for each in progress:
            chunk = self._chunks.get(each.chunk)
            if chunk is None:
                continue
            if each.ended or (chunk.items is None and each.stage > chunk.stage):
                to_read.append(each.chunk)
            elif chunk.items is not None and each.stage > chunk.stage:
                implied += [ItemStatus(ordinal, image_id, each.stage) for ordinal, image_id in chunk.items]
            chunk.stage = max(chunk.stage, each.stage)
            if each.ended:
                chunk.stage = IngestStage.INDEXED
            elif chunk.stage >= self._wait and chunk.items is not None:
                self._drop(each.chunk)
        return implied, to_read

    def settled(self, chunks: Iterable[int], statuses: Iterable[ItemStatus]) -> bool:
        """Note that the items of these chunks were read: those that reached `wait` need no following. Return whether
        `statuses` has every item of them; one that is missing is in a chunk of an earlier stream."""
        read = {status.ordinal for status in statuses}
        whole = True
        for number in chunks:
            chunk = self._chunks.get(number)
            if chunk is not None and chunk.stage >= self._wait:
                whole = whole and all(ordinal in read for ordinal, _ in chunk.items or ())
                self._drop(number)
        return whole

    def _drop(self, chunk: int) -> None:
        items = self._chunks.pop(chunk).items
        self._followed.difference_update(ordinal for ordinal, _ in items or ())

    def _closes(self, status: ItemStatus) -> bool:
        return status.ended or status.stage >= self._wait
