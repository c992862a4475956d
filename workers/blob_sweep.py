"""Frees the bytes of pictures that nothing refers to, a little at a time."""

import random
import time
from collections.abc import Callable, Iterator, Sequence

from pixvec.blobs.attic import PARTS, Attic
from pixvec.blobs.store import FileStore
from pixvec.catalogue.interfaces import ImageReader
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

_BATCH = 500
# Each part of the store is looked at that often within the grace.
_VISITS = 4


class BlobSweep:
    """Goes round the store, part by part: sets aside what nothing refers to, and frees it when it has been aside for
    `grace_s` and still nothing does.

    An upload may have found bytes in the store that were set aside right after: it has that long to be recorded. What
    refers to bytes is looked up last before anything is done to them; when that fails, nothing is done.
    """

    def __init__(
        self,
        files: FileStore,
        images: ImageReader,
        *,
        grace_s: float,
        clock: Callable[[], float] = time.time,
        first_part: int | None = None,
    ) -> None:
        self._attic = Attic(files)
        self._images = images
        self._grace_s = grace_s
        self._clock = clock
        # Anywhere: a sweeper that is often started anew would never come to the last parts.
        self._part = random.randrange(PARTS) if first_part is None else first_part  # noqa: S311
        self._work: Iterator[int] = iter(())
        self._next_at = 0.0

    def sweep(self) -> int:
        """Do the next step if one is due. Return how many pictures' bytes were freed."""
        freed = next(self._work, None)
        if freed is not None or self._clock() < self._next_at:
            return freed or 0
        self._next_at = self._clock() + self._grace_s / _VISITS / PARTS
        self._work = self._sweep_part(self._part)
        self._part = (self._part + 1) % PARTS
        return next(self._work, 0)

    def _sweep_part(self, part: int) -> Iterator[int]:
        for hashes in _batches(self._attic.aside(part, self._grace_s)):
            yield self._free(hashes)
        for hashes in _batches(self._attic.kept(part)):
            self._set_aside(hashes)
            yield 0

    def _free(self, hashes: Sequence[str]) -> int:
        needed = self._images.contents_in_use(hashes)
        for each in hashes:
            if each in needed:
                self._attic.take_back(each)
            else:
                self._attic.free(each)
        freed = len(hashes) - len(needed)
        log.info("blobs_freed", freed=freed, taken_back=len(needed))
        return freed

    def _set_aside(self, hashes: Sequence[str]) -> None:
        unused = set(hashes) - self._images.contents_in_use(hashes)
        for each in unused:
            self._attic.set_aside(each)
        if unused:
            log.info("blobs_set_aside", blobs=len(unused))


def _batches(hashes: Sequence[str]) -> Iterator[Sequence[str]]:
    return (hashes[first : first + _BATCH] for first in range(0, len(hashes), _BATCH))
