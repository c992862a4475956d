"""A line on a terminal that says how an ingest goes."""

import sys
import time
from typing import TextIO

from pixvec.client.values import IngestCounts


class ProgressLine:
    """Rewrites one line of a terminal; on anything else writes one line at the end only."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._started = time.monotonic()

    def show(self, counts: IngestCounts) -> None:
        """Write how things stand."""
        if self._out.isatty():
            self._out.write(f"\r\x1b[K{self._text(counts)}")
            self._out.flush()

    def close(self, counts: IngestCounts) -> None:
        """Write how things ended."""
        start = "\r\x1b[K" if self._out.isatty() else ""
        self._out.write(f"{start}{self._text(counts)}\n")
        self._out.flush()

    def _text(self, counts: IngestCounts) -> str:
        rate = (counts.indexed + counts.failed) / max(time.monotonic() - self._started, 1e-3)
        stages = "  ".join(
            f"{name} {getattr(counts, name)}" for name in ("queued", "decoded", "embedded", "indexed", "failed")
        )
        return f"{stages}  {rate:.1f} images/s"
