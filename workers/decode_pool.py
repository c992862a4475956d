"""Decoding in disposable processes: limits on memory and time, and a crash that costs one process and one retry.

One dispatcher thread a process takes items from a queue, interactive ones first. Plain subprocesses, because a Celery
child is daemonic and may not use multiprocessing's.
"""

import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pixvec.errors import Overloaded, PictureError, Unavailable
from pixvec.vision.decode import DecodeLimits, Picture, checked_format, decode, render_thumbnail
from pixvec.vision.preprocess import AnyPreprocess
from workers.decoder_lane import DecoderLane
from workers.decoder_process import DecoderProcess

_T = TypeVar("_T")

_STOP, _INTERACTIVE, _BULK = range(3)


class Decoder(Protocol):
    """Turns files into pixels, off the caller's thread. Futures raise the PictureErrors of `pixvec.vision.decode`.

    Work with priority is refused with Overloaded when too much of it waits; other work is bounded by who sends it."""

    def start(self) -> None:
        """Be ready to decode on return. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Cancel what has not begun, and end every process."""
        ...

    def decode(
        self, content: bytes, preprocess: AnyPreprocess, *, priority: bool = False, hashed: bool = False
    ) -> "Future[Picture]":
        """Decode for a model; with `priority`, ahead of what is queued without; `hashed`: with its hash."""
        ...

    def thumbnail(self, content: bytes, max_side: int) -> "Future[bytes]":
        """Render an upright JPEG of at most `max_side` pixels a side; goes with priority."""
        ...


@dataclass(order=True)
class _Item:
    priority: int
    number: int
    run: Callable[[DecoderProcess], Any] = field(compare=False)
    future: "Future[Any]" = field(compare=False, default_factory=Future)


class DecodePool:
    """`processes` decoders. Each may take `memory_bytes` of address space and `item_timeout_s` a picture. At most
    `max_waiting` items with priority wait for one.

    A process is replaced after `recycle_items` pictures, or once it keeps half its memory between two.
    """

    def __init__(
        self,
        processes: int,
        limits: DecodeLimits,
        *,
        item_timeout_s: float = 10.0,
        memory_bytes: int = 2**30,
        recycle_items: int = 10_000,
        max_waiting: int = 512,
    ) -> None:
        self._limits = limits
        self._queue: queue.PriorityQueue[_Item] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._places = threading.BoundedSemaphore(max_waiting)
        self._closed = False
        self._lanes = [DecoderLane(limits, item_timeout_s, memory_bytes, recycle_items) for _ in range(processes)]
        self._ready: list[Future[None]] = [Future() for _ in self._lanes]
        self._threads = [
            threading.Thread(target=self._dispatch, args=(lane, ready), name=f"decoder-{number}", daemon=True)
            for number, (lane, ready) in enumerate(zip(self._lanes, self._ready, strict=True))
        ]

    @property
    def pids(self) -> list[int]:
        """The ids of the running processes."""
        return [lane.pid for lane in self._lanes if lane.pid is not None]

    def start(self) -> None:
        """Start the processes and wait until each is ready. Raises Unavailable, with none left running."""
        for thread in self._threads:
            thread.start()
        try:
            for ready in self._ready:
                ready.result()
        except Unavailable:
            self.close()
            raise

    def close(self) -> None:
        """Cancel what has not begun, let running items end (or overrun), and end every process. May be called twice."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._put(_STOP, lambda _: None)
        for thread in self._threads:
            thread.join()
        while not self._queue.empty():
            self._queue.get_nowait().future.cancel()

    def decode(
        self, content: bytes, preprocess: AnyPreprocess, *, priority: bool = False, hashed: bool = False
    ) -> "Future[Picture]":
        """Decode for a model; with `priority`, ahead of what is queued without; `hashed`: with its hash."""
        rank = _INTERACTIVE if priority else _BULK
        return self._submit(content, rank, lambda process: process.decode(content, preprocess, hashed=hashed))

    def thumbnail(self, content: bytes, max_side: int) -> "Future[bytes]":
        """Render an upright JPEG of at most `max_side` pixels a side; goes with priority."""
        return self._submit(content, _INTERACTIVE, lambda process: process.thumbnail(content, max_side))

    def _submit(self, content: bytes, priority: int, run: Callable[[DecoderProcess], _T]) -> "Future[_T]":
        if self._closed:
            raise Unavailable("this worker is shutting down: ask again, another will answer")
        try:
            checked_format(content, self._limits)
        except PictureError as error:
            refused: Future[_T] = Future()
            refused.set_exception(error)
            return refused
        if priority == _INTERACTIVE and not self._places.acquire(blocking=False):
            raise Overloaded("too many pictures wait for a decoder; try again later", retry_after_s=0.5)
        future = self._put(priority, run)
        if self._closed:
            # It may have come after the last look at the queue: no one would end it.
            future.cancel()
        return future

    def _put(self, priority: int, run: Callable[[DecoderProcess], _T]) -> "Future[_T]":
        item = _Item(priority, next(self._numbers), run)
        self._queue.put(item)
        return item.future

    def _dispatch(self, lane: DecoderLane, ready: "Future[None]") -> None:
        """Own one lane: the kernel kills a decoder together with the thread that started it."""
        try:
            lane.start()
        except Unavailable as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        while (item := self._queue.get()).priority != _STOP:
            if item.priority == _INTERACTIVE:
                self._places.release()
            if item.future.set_running_or_notify_cancel():
                lane.work(item.run, item.future)
                lane.recycle()
        lane.close()


class InlineDecoder:
    """The same in the caller's own thread, without processes and their limits: for tests and small tools."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self._limits = limits or DecodeLimits()

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""

    def decode(
        self,
        content: bytes,
        preprocess: AnyPreprocess,
        *,
        priority: bool = False,  # noqa: ARG002
        hashed: bool = False,
    ) -> "Future[Picture]":
        """Decode now; `priority` changes nothing."""
        return _ended(lambda: decode(content, preprocess, self._limits, hashed=hashed))

    def thumbnail(self, content: bytes, max_side: int) -> "Future[bytes]":
        """Render now."""
        return _ended(lambda: render_thumbnail(content, max_side, self._limits))


def _ended(run: Callable[[], _T]) -> "Future[_T]":
    future: Future[_T] = Future()
    try:
        future.set_result(run())
    except PictureError as error:
        future.set_exception(error)
    return future
