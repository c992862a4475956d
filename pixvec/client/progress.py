"""A line on a terminal that says how an ingest goes."""

import datetime as dt
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO, TypeAlias

from pixvec.client.values import IngestCounts

STAGES = ("queued", "decoded", "embedded", "indexed", "failed")
Show: TypeAlias = Callable[[IngestCounts], None]
# Pictures that were there already pass quickly; what is left goes at the pace of the last ones.
_PACE_OVER_S = 15.0


def watched(
    counts: Callable[[], IngestCounts], progress: bool, on_progress: Show | None
) -> AbstractContextManager[Show | None]:
    """Return a context that gives what is shown the counts: `on_progress`, else the line that `progress` asks for."""
    return progress_line(counts) if progress and on_progress is None else nullcontext(on_progress)


@contextmanager
def progress_line(counts: Callable[[], IngestCounts], total: int = 0) -> Iterator[Show]:
    """Draw a line on stderr and write at the end, come what may, how things stand then.

    `total` is the number of pictures where it is known beforehand; with it the line tells the time left.
    """
    line = ProgressLine(total)
    try:
        yield line.show
    finally:
        line.close(counts())


class ProgressLine:
    """Rewrites one line of a terminal; on anything else writes one line at the end only."""

    def __init__(self, total: int = 0, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._out = out or sys.stderr
        self._clock = clock
        self._started = clock()
        self._seen = deque([(self._started, 0)])

    def show(self, counts: IngestCounts) -> None:
        """Write how things stand."""
        self._note(counts)
        if self._out.isatty():
            columns = shutil.get_terminal_size().columns
            self._out.write(f"\r\x1b[K{self._text(counts, self._left())[: columns - 1]}")
            self._out.flush()

    def close(self, counts: IngestCounts) -> None:
        """Write how things ended."""
        start = "\r\x1b[K" if self._out.isatty() else ""
        self._out.write(f"{start}{self._text(counts)}\n")
        self._out.flush()

    def _note(self, counts: IngestCounts) -> None:
        now = self._clock()
        self._seen.append((now, counts.indexed + counts.failed))
        while now - self._seen[0][0] > _PACE_OVER_S:
            self._seen.popleft()

    def _left(self) -> str:
        (since, before), (now, ended) = self._seen[0], self._seen[-1]
        if ended == before or self._total <= ended:
            return ""
        seconds = (self._total - ended) * (now - since) / (ended - before)
        return f"  {dt.timedelta(seconds=round(seconds))} left"

    def _text(self, counts: IngestCounts, left: str = "") -> str:
        rate = (counts.indexed + counts.failed) / max(self._clock() - self._started, 1e-3)
        stages = "  ".join(f"{stage} {getattr(counts, stage)}" for stage in STAGES)
        return f"{stages}{left}  {rate:.1f} images/s"
