"""Live recall: a small share of queries is asked again exactly, in the background, and the overlap exported."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import numpy as np

from pixvec.domain import SearchOptions
from pixvec.index.interfaces import Float32Array
from pixvec.index.kinds import is_exact
from pixvec.index.space import SpaceView
from pixvec.telemetry import metrics
from services.searcher.held_shard import HeldShard

# Exact searches of a large shard are long: this much of the time at most goes into them.
_SHARE_OF_TIME = 0.05
# An answer counts as much as the newest of about so many.
_SMOOTHED_OVER = 50
_LOWEST_PRIORITY = 19
# No filters are searched with yet: all are of this kind.
UNFILTERED = "false"


class RecallProbe:
    """Looks at `share` of the queries that were answered from approximate indexes. Belongs to the event loop, but for
    its one thread, which runs when nothing else wants the processor."""

    def __init__(
        self,
        share: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._share = share
        self._clock = clock
        self._chance = chance
        self._thread = ThreadPoolExecutor(1, "recall", initializer=_lower_priority)
        self._busy = threading.Lock()
        self._rest_until = 0.0
        # Not to keep a dropped shard.
        self._smoothed: WeakKeyDictionary[HeldShard, dict[str, float]] = WeakKeyDictionary()

    def consider(self, held: HeldShard, space: str, vectors: Float32Array, k: int, options: SearchOptions) -> None:
        """Ask one of these queries again, if it is its turn: never two at a time, and not all of the time."""
        if self._chance() >= self._share or options.exact or self._clock() < self._rest_until:
            return
        view = held.index.view.spaces[space]
        if all(is_exact(sealed.segment.seal.kind) for sealed in view.sealed) or not self._busy.acquire(blocking=False):
            return
        vector = vectors[random.randrange(len(vectors))][None]  # noqa: S311 - a sample, not a secret
        self._thread.submit(self._probe, held, view, vector, k, options)

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _probe(self, held: HeldShard, view: SpaceView, vector: Float32Array, k: int, options: SearchOptions) -> None:
        begun = self._clock()
        try:
            recall = recall_of(view, vector, k, options)
            if recall is not None and not held.dropped:
                self._export(held, view.space.name, recall)
        finally:
            now = self._clock()
            self._rest_until = now + (now - begun) / _SHARE_OF_TIME
            self._busy.release()

    def _export(self, held: HeldShard, space: str, recall: float) -> None:
        smoothed = self._smoothed.setdefault(held, {})
        before = smoothed.get(space, recall)
        smoothed[space] = before + (recall - before) / _SMOOTHED_OVER
        metrics.SEARCH_RECALL.labels(held.collection.name, space, str(held.shard), UNFILTERED).set(smoothed[space])
        if held.dropped:
            forget_recall(held)


def recall_of(view: SpaceView, vector: Float32Array, k: int, options: SearchOptions) -> float | None:
    """Return the share of the k images found exactly that `options` find too, (1, dim) float32 and one view for both;
    None where there is nothing to find. Images that score like the last exact one count as found: which of them is
    among the k is chance."""
    (exact,) = view.search(vector, k, None, SearchOptions(exact=True))
    if not exact.image_ids:
        return None
    (found,) = view.search(vector, k, None, options)
    as_good = int(np.count_nonzero(found.scores >= exact.scores[-1]))
    return min(as_good, len(exact.image_ids)) / len(exact.image_ids)


def forget_recall(held: HeldShard) -> None:
    """Export nothing more of a shard that was dropped."""
    for space in held.collection.spaces:
        with contextlib.suppress(KeyError):
            metrics.SEARCH_RECALL.remove(held.collection.name, space.name, str(held.shard), UNFILTERED)


def _lower_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
