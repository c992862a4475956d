"""How the items of one Ingest stream stand: which are open, in which chunks, and what is to be reported."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from pixvec.catalogue.interfaces import ChunkProgress, ItemStatus
from pixvec.domain import IngestStage


@dataclass(slots=True)
class _Chunk:
    """A chunk under way, as the caller knows it. `items` are the open ones, ordinal to image id; None for a chunk of an
    earlier stream, whose items have to be read. `latest` is how it was last seen to stand."""

    told: ChunkProgress
    items: dict[int, str] | None
    latest: ChunkProgress

    @property
    def has_to_be_read(self) -> bool:
        """Whether items have ended, whose outcome the stage of the others does not tell."""
        moved = self.latest.stage > self.told.stage
        return self.latest.open_items < self.told.open_items or (moved and self.items is None)


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
        open_items = {each.ordinal: each.image_id for each in statuses if not self._closes(each)}
        accepted = {ordinal: name for ordinal, name in open_items.items() if ordinal not in self._followed}
        if chunk is None:
            return not accepted
        if accepted:
            begun = ChunkProgress(chunk, IngestStage.QUEUED, len(accepted))
            self._chunks[chunk] = _Chunk(begun, accepted, begun)
            self._followed.update(accepted)
        return True

    def adopt(self, progress: Iterable[ChunkProgress], statuses: Iterable[ItemStatus]) -> None:
        """Follow the chunks that an earlier stream of the job left open; `statuses` is of every item of the job."""
        if self._wait is IngestStage.QUEUED:
            return
        for each in progress:
            if each.chunk not in self._chunks and not each.ended:
                begun = ChunkProgress(each.chunk, IngestStage.QUEUED, each.open_items)
                self._chunks[each.chunk] = _Chunk(begun, None, begun)
        self._followed.update(status.ordinal for status in statuses if not self._closes(status))

    def progressed(self, progress: Iterable[ChunkProgress]) -> tuple[list[ItemStatus], list[int]]:
        """Return the statuses that a chunk's stage implies, and the chunks whose items have to be read."""
        implied: list[ItemStatus] = []
        to_read: list[int] = []
        for each in progress:
            chunk = self._chunks.get(each.chunk)
            if chunk is None:
                continue
            chunk.latest = each
            if chunk.has_to_be_read:
                to_read.append(each.chunk)
            elif chunk.items is not None and each.stage > chunk.told.stage:
                implied += [ItemStatus(ordinal, image_id, each.stage) for ordinal, image_id in chunk.items.items()]
                self._told(chunk)
        return implied, to_read

    def settled(self, chunks: Iterable[int], statuses: Iterable[ItemStatus]) -> tuple[list[ItemStatus], bool]:
        """Note that the items of these chunks were read. Return what is news of them, and whether `statuses` has every
        item of those that need no more following; one that is missing is in a chunk of an earlier stream."""
        read = {status.ordinal: status for status in statuses}
        known = [self._chunks[number] for number in chunks if number in self._chunks]
        news: list[ItemStatus] = []
        whole = True
        for chunk in known:
            if chunk.items is not None:
                mine = [read.pop(ordinal) for ordinal in chunk.items if ordinal in read]
                whole = whole and (len(mine) == len(chunk.items) or chunk.latest.stage < self._wait)
                news += [status for status in mine if status.ended or status.stage > chunk.told.stage]
                self._close_items(chunk.items, mine)
            self._told(chunk)
        if any(chunk.items is None for chunk in known):
            news += read.values()
        return news, whole

    def _told(self, chunk: _Chunk) -> None:
        """Note that the caller has been told of all that was seen of a chunk."""
        # A chunk that is begun again starts anew; the caller has heard of more.
        chunk.told = replace(chunk.latest, stage=max(chunk.told.stage, chunk.latest.stage))
        if chunk.told.stage >= self._wait or chunk.items == {}:
            self._drop(chunk.told.chunk)

    def _close_items(self, items: dict[int, str], statuses: Iterable[ItemStatus]) -> None:
        for status in statuses:
            if self._closes(status):
                del items[status.ordinal]
                self._followed.discard(status.ordinal)

    def _drop(self, chunk: int) -> None:
        self._followed.difference_update(self._chunks.pop(chunk).items or ())

    def _closes(self, status: ItemStatus) -> bool:
        return status.ended or status.stage >= self._wait
