"""Puts pictures, or texts, that wait for the same model into one forward pass; interactive ones go first.

There is no timer: a pass takes what is queued when the model becomes free, up to `batch_images`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from pixvec.errors import Overloaded
from pixvec.telemetry.metrics import MODEL_BATCH_IMAGES, MODEL_BATCH_TEXTS, MODEL_QUEUE_SECONDS, MODEL_SECONDS
from pixvec.vision.extractor import Extractor, TextExtractor, Vectors
from pixvec.vision.preprocess import Pixels

Rows: TypeAlias = "Pixels | Sequence[str]"


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of one submission, (n, dim) float32, and where its time went."""

    vectors: Vectors
    queue_s: float
    inference_s: float


@dataclass(slots=True)
class _Submission:
    """Rows for one tower of a model, `run`: those for the same one may share a pass."""

    model: str
    run: Callable[[Any], Vectors]
    rows: Rows
    priority: bool
    submitted_at: float = field(default_factory=time.monotonic)
    future: "Future[Embedded]" = field(default_factory=Future)


class Batcher:
    """One thread that runs models. `max_waiting` submissions may wait at each priority."""

    def __init__(self, batch_images: int, *, max_waiting: int = 1024) -> None:
        self._batch_images = batch_images
        self._max_waiting = max_waiting
        self._interactive: deque[_Submission] = deque()
        self._bulk: deque[_Submission] = deque()
        self._changed = threading.Condition()
        self._closed = False
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
        return self._queue(_Submission(extractor.name, extractor.embed_texts, texts, priority=True))

    def _queue(self, submission: _Submission) -> "Future[Embedded]":
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
            rows = 0
            while waiting and (not batch or self._joins(waiting[0], batch[0], rows)):
                batch.append(waiting.popleft())
                rows += len(batch[-1].rows)
            return batch

    def _joins(self, next_one: _Submission, first: _Submission, rows: int) -> bool:
        return next_one.run == first.run and rows + len(next_one.rows) <= self._batch_images

    def _embed(self, batch: list[_Submission]) -> None:
        live = [each for each in batch if each.future.set_running_or_notify_cancel()]
        if not live:
            return
        begun = time.monotonic()
        rows = live[0].rows if len(live) == 1 else _joined([each.rows for each in live])
        try:
            vectors = live[0].run(rows)
        except Exception as error:  # noqa: BLE001  # whatever a model raises belongs to those who wait for it
            for each in live:
                each.future.set_exception(error)
            return
        seconds = time.monotonic() - begun
        sizes = MODEL_BATCH_IMAGES if isinstance(rows, np.ndarray) else MODEL_BATCH_TEXTS
        sizes.labels(live[0].model).observe(len(rows))
        MODEL_SECONDS.labels(live[0].model).observe(seconds)
        start = 0
        for each in live:
            queue_s = begun - each.submitted_at
            MODEL_QUEUE_SECONDS.labels("interactive" if each.priority else "bulk").observe(queue_s)
            each.future.set_result(Embedded(vectors[start : start + len(each.rows)], queue_s, seconds))
            start += len(each.rows)


def _joined(parts: Sequence[Rows]) -> Rows:
    pixels = [part for part in parts if isinstance(part, np.ndarray)]
    return np.concatenate(pixels) if pixels else [text for part in parts for text in part]
