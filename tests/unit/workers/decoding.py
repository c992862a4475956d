"""Decoder processes that are none: they do what a test tells them, and note what was asked of them."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from pixvec.errors import Unavailable
from pixvec.vision.decode import Picture
from pixvec.vision.preprocess import Preprocess


class ScriptedProcess:
    """In the place of a DecoderProcess."""

    def __init__(self, pid: int, works: "Works") -> None:
        self.pid = pid
        self.items = 0
        self.resident_bytes = 0
        self.killed = False
        self._works = works

    def decode(self, content: bytes, _preprocess: Preprocess, *, hashed: bool = False) -> Picture:
        self.items += 1
        self._works.entered.set()
        assert self._works.may_go.wait(30)
        self._works.order.append(content)
        return Picture(np.zeros((1, 1, 3), np.uint8), 1, 1, "PNG")

    def thumbnail(self, content: bytes, _max_side: int) -> bytes:
        self.decode(content, Preprocess(1, 1))
        return content

    def kill(self) -> None:
        self.killed = True


class Works:
    """Makes the processes; `comes_up` says of each whether it does."""

    def __init__(self, comes_up: Callable[[int], bool] = lambda _: True) -> None:
        self.made: list[ScriptedProcess] = []
        self.order: list[bytes] = []
        self.entered, self.may_go = threading.Event(), threading.Event()
        self._comes_up = comes_up
        self._asked = 0
        self._lock = threading.Lock()

    def __call__(self, *_: Any, **__: Any) -> ScriptedProcess:
        with self._lock:
            self._asked += 1
            if not self._comes_up(self._asked):
                raise Unavailable("a decoder process did not start")
            self.made.append(ScriptedProcess(self._asked, self))
            return self.made[-1]
