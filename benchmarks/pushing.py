"""A process of its own that pushes vectors, so that pushing and searching do not share an interpreter."""

import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import grpc
import numpy as np

from benchmarks.pushes import Pusher
from benchmarks.vectors import Float32Array, in_parts
from pixvec.internal.v1 import searcher_service_pb2_grpc


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was pushed in one go. `pushed_back_s`: seconds in which the searcher took no writes."""

    rows: int
    seconds: float
    pushed_back_s: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


class PushingProcess:
    """Pushes rows, (n, dim), to the searcher at `address`, going on from where `after` stands, `rows_a_push`
    a call. They are kept in `file` for the other process, which packs all of them beforehand. Use it in a `with`."""

    def __init__(self, address: str, rows: Float32Array, after: Pusher, rows_a_push: int, file: Path) -> None:
        np.save(file, rows)
        told = (address, file, after.seq, after.count, rows_a_push)
        self._process = ProcessPoolExecutor(1, get_context("spawn"), initializer=_prepare, initargs=told)

    def __enter__(self) -> Self:
        self._process.submit(_push_for, 0.0, 0).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def start(self, seconds: float, rows: int) -> "Future[Pushed]":
        """Push for so long, or until so many rows are pushed, or none is left."""
        return self._process.submit(_push_for, seconds, rows)


class _Pushing:
    def __init__(self, address: str, file: Path, seq: int, count: int, rows_a_push: int) -> None:
        stub = searcher_service_pb2_grpc.SearcherServiceStub(grpc.insecure_channel(address))
        self.pusher = Pusher(stub, seq=seq, count=count)
        parts = in_parts(np.load(file), rows_a_push)
        self.left = [self.pusher.entries(rows, number * rows_a_push) for number, rows in enumerate(parts)]
        self.left.reverse()


_prepared: list[_Pushing] = []


def _prepare(address: str, file: Path, seq: int, count: int, rows_a_push: int) -> None:
    _prepared.append(_Pushing(address, file, seq, count, rows_a_push))


def _push_for(seconds: float, limit: int) -> Pushed:
    pushing, rows, begun = _prepared[0], 0, time.perf_counter()
    pushed_back_s = pushing.pusher.pushed_back_s
    while pushing.left and rows < limit and time.perf_counter() < begun + seconds:
        entries = pushing.left.pop()
        pushing.pusher.send(entries)
        rows += len(entries)
    return Pushed(rows, time.perf_counter() - begun, pushing.pusher.pushed_back_s - pushed_back_s)
