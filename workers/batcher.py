"""Puts pictures, or texts, that wait for the same model into one forward pass; interactive ones go first.

There is no timer: a pass takes what is queued when the model becomes free, up to `batch_images`. A pass of a detector,
which may take seconds a picture, takes no more than `_PASS_S` by what its last one took: nobody waits longer than that
for a picture of another.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from prometheus_client import Histogram

from pixvec.errors import Overloaded
from pixvec.telemetry.metrics import MODEL_BATCH_IMAGES, MODEL_BATCH_TEXTS, MODEL_QUEUE_SECONDS, MODEL_SECONDS
from pixvec.vision.detector import Boxes, Detections, RegionExtractor
from pixvec.vision.extractor import Extractor, TextExtractor, Vectors
from pixvec.vision.preprocess import Pixels

Rows: TypeAlias = "Pixels | Sequence[Any]"

_PASS_S = 0.25
# A clock may stand still.
_LEAST_S = 1e-6


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of one submission, (n, dim) float32, and where its time went."""

    vectors: Vectors
    queue_s: float
    inference_s: float


@dataclass(frozen=True, slots=True)
class Detected:
    """The objects of each picture of one submission, and where its time went."""

    pictures: Sequence[Detections]
    queue_s: float
    inference_s: float


@dataclass(slots=True)
class _Submission:
    """Rows for one tower of a model, `run`: those for the same one may share a pass. `answer` is made of what the pass
    returned for them; `is_paced`: a pass is to be short."""

    model: str
    run: Callable[[Any], Any]
    rows: Rows
    priority: bool
    answer: Callable[[Any, float, float], Any] = Embedded
    sizes: Histogram = MODEL_BATCH_IMAGES
    is_paced: bool = False
    submitted_at: float = field(default_factory=time.monotonic)
    future: "Future[Any]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Describes boxes that were drawn into pictures: rows of (picture, boxes). Those of one model are equal."""

    regions: RegionExtractor

    def __call__(self, rows: Sequence[tuple[Pixels, Boxes]]) -> Sequence[Detections]:
        return self.regions.describe_boxes([picture for picture, _ in rows], [boxes for _, boxes in rows])


class Batcher:
    """One thread that runs models. `max_waiting` submissions may wait at each priority."""

    def __init__(self, batch_images: int, *, max_waiting: int = 1024) -> None:
        self._batch_images = batch_images
        self._max_waiting = max_waiting
        self._interactive: deque[_Submission] = deque()
        self._bulk: deque[_Submission] = deque()
        self._changed = threading.Condition()
        self._closed = False
        # For the one thread, by `run` of submissions that are paced: boxes are described far faster than found.
        self._seconds_a_row: dict[Callable[[Any], Any], float] = {}
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def submit(self, extractor: Extractor, pixels: Pixels, *, priority: bool = False) -> "Future[Embedded]":
        """Queue (n, h, w, 3) uint8 pixels. Raises Overloaded when too many wait."""
        return self._queue(_Submission(extractor.name, extractor.embed, pixels, priority))

    def submit_texts(self, extractor: TextExtractor, texts: Sequence[str]) -> "Future[Embedded]":
        """Queue texts, ahead of bulk work. Raises Overloaded when too many wait."""
        texts_a_pass = MODEL_BATCH_TEXTS
        return self._queue(_Submission(extractor.name, extractor.embed_texts, texts, priority=True, sizes=texts_a_pass))

    def submit_regions(
        self, regions: RegionExtractor, picture: Pixels, *, boxes: Boxes | None = None, priority: bool = False
    ) -> "Future[Detected]":
        """Queue one (h, w, 3) uint8 picture to have its objects found, or its `boxes`, (n, 4) float32 and within it,
        described. Raises Overloaded when too many wait."""
        run: Callable[[Any], Any] = regions.detect if boxes is None else _Drawn(regions)
        rows = [picture if boxes is None else (picture, boxes)]
        return self._queue(_Submission(regions.name, run, rows, priority, Detected, is_paced=True))

    def _queue(self, submission: _Submission) -> "Future[Any]":
        waiting = self._interactive if submission.priority else self._bulk
        with self._changed:
            if self._closed or len(waiting) >= self._max_waiting:
                raise Overloaded("too much waits for the model; try again later", retry_after_s=0.5)
            waiting.append(submission)
            self._changed.notify()
        return submission.future

    def _run(self) -> None:
        while batch := self._next_batch():
            self._embed(batch)

    def _next_batch(self) -> list[_Submission]:
        with self._changed:
            self._changed.wait_for(lambda: self._interactive or self._bulk or self._closed)
            waiting = self._interactive or self._bulk
            batch: list[_Submission] = []
            rows = most = 0
            while waiting and (not batch or _joins(waiting[0], batch[0], most - rows)):
                batch.append(waiting.popleft())
                rows += len(batch[-1].rows)
                most = most or self._most_rows(batch[0])
            return batch

    def _most_rows(self, first: _Submission) -> int:
        if not first.is_paced:
            return self._batch_images
        seconds_a_row = self._seconds_a_row.get(first.run, _PASS_S)
        return min(self._batch_images, int(_PASS_S / seconds_a_row))

    def _embed(self, batch: list[_Submission]) -> None:
        live = [each for each in batch if each.future.set_running_or_notify_cancel()]
        if not live:
            return
        begun = time.monotonic()
        rows = live[0].rows if len(live) == 1 else _joined([each.rows for each in live])
        try:
            found = live[0].run(rows)
        except Exception as error:  # noqa: BLE001  # whatever a model raises belongs to those who wait for it
            for each in live:
                each.future.set_exception(error)
            return
        seconds = time.monotonic() - begun
        if live[0].is_paced:
            self._seconds_a_row[live[0].run] = max(seconds, _LEAST_S) / max(1, len(rows))
        live[0].sizes.labels(live[0].model).observe(len(rows))
        MODEL_SECONDS.labels(live[0].model).observe(seconds)
        start = 0
        for each in live:
            queue_s = begun - each.submitted_at
            MODEL_QUEUE_SECONDS.labels("interactive" if each.priority else "bulk").observe(queue_s)
            each.future.set_result(each.answer(found[start : start + len(each.rows)], queue_s, seconds))
            start += len(each.rows)


def _joins(next_one: _Submission, first: _Submission, room: int) -> bool:
    return next_one.run == first.run and len(next_one.rows) <= room


def _joined(parts: Sequence[Rows]) -> Rows:
    pixels = [part for part in parts if isinstance(part, np.ndarray)]
    return np.concatenate(pixels) if pixels else [row for part in parts for row in part]
