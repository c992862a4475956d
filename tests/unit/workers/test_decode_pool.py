"""Who waits for a decoder is served in order of priority, and nobody waits for ever."""

import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixvec.errors import Overloaded, PictureEmpty, PictureNotRecognised, Unavailable
from pixvec.vision.decode import DecodeLimits
from pixvec.vision.preprocess import Preprocess
from tests.unit.workers.decoding import Works
from workers import decode_pool, decoder_lane
from workers.decode_pool import DecodePool

PREPROCESS = Preprocess(1, 1)


def png(name: str) -> bytes:
    """Return what passes for a picture until it is decoded, which is never."""
    return b"\x89PNG\r\n\x1a\n" + name.encode()


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Works:
    works = Works()
    monkeypatch.setattr(decoder_lane, "DecoderProcess", works)
    return works


@pytest.fixture
def pool(works: Works) -> Iterator[DecodePool]:
    pool = DecodePool(1, DecodeLimits())
    pool.start()
    yield pool
    works.may_go.set()
    pool.close()


def test_interactive_items_go_ahead_of_queued_ones_and_each_kind_in_its_order(pool: DecodePool, works: Works) -> None:
    first = pool.decode(png("held"), PREPROCESS)
    assert works.entered.wait(30)
    futures = [
        first,
        pool.decode(png("bulk 1"), PREPROCESS),
        pool.decode(png("bulk 2"), PREPROCESS),
        pool.decode(png("urgent"), PREPROCESS, priority=True),
        pool.thumbnail(png("thumbnail"), 64),
    ]
    works.may_go.set()
    for future in futures:
        future.result(30)
    assert works.order == [png(name) for name in ("held", "urgent", "thumbnail", "bulk 1", "bulk 2")]


def test_what_is_cancelled_in_the_queue_is_not_decoded(pool: DecodePool, works: Works) -> None:
    held = pool.decode(png("held"), PREPROCESS)
    assert works.entered.wait(30)
    unwanted, wanted = (pool.decode(png(name), PREPROCESS) for name in ("unwanted", "wanted"))
    assert unwanted.cancel()
    works.may_go.set()
    for future in (held, wanted):
        future.result(30)
    assert works.order == [png("held"), png("wanted")]


@pytest.mark.parametrize(("content", "error"), [(b"", PictureEmpty), (b"no picture", PictureNotRecognised)])
def test_what_needs_no_decoding_to_be_refused_waits_for_nobody(
    pool: DecodePool, works: Works, content: bytes, error: type[Exception]
) -> None:
    pool.decode(png("held"), PREPROCESS)
    assert works.entered.wait(30)
    for future in (pool.decode(content, PREPROCESS), pool.thumbnail(content, 64)):
        assert isinstance(future.exception(0), error)


def test_more_than_can_wait_with_priority_is_refused_at_once(works: Works) -> None:
    pool = DecodePool(1, DecodeLimits(), max_waiting=2)
    pool.start()
    futures = [pool.decode(png("held"), PREPROCESS)]
    assert works.entered.wait(30)
    futures += [pool.decode(png("urgent"), PREPROCESS, priority=True), pool.thumbnail(png("thumbnail"), 64)]
    for refused in (lambda: pool.decode(png("late"), PREPROCESS, priority=True), lambda: pool.thumbnail(png("t"), 64)):
        with pytest.raises(Overloaded, match="decoder") as caught:
            refused()
        assert caught.value.retry_after_s
    futures.append(pool.decode(png("bulk"), PREPROCESS))
    works.may_go.set()
    for future in futures:
        future.result(30)
    assert pool.decode(png("again"), PREPROCESS, priority=True).result(30)
    pool.close()


def test_as_many_processes_as_asked_for(works: Works) -> None:
    pool = DecodePool(3, DecodeLimits())
    assert pool.pids == []
    pool.start()
    assert sorted(pool.pids) == [1, 2, 3]
    pool.close()
    assert pool.pids == []
    assert all(process.killed for process in works.made)


def test_a_closed_pool_leaves_nothing_undone_and_takes_nothing(pool: DecodePool, works: Works) -> None:
    works.may_go.set()
    futures = [pool.decode(png(f"{number}"), PREPROCESS) for number in range(50)]
    pool.close()
    pool.close()
    assert all(future.done() for future in futures)
    with pytest.raises(Unavailable, match="shutting down"):
        pool.decode(png("late"), PREPROCESS)
    with pytest.raises(Unavailable, match="shutting down"):
        pool.thumbnail(png("late"), 64)


def test_close_cancels_what_has_not_begun(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    closing = threading.Event()

    class ReleasesTheHeld(queue.PriorityQueue):
        def put(self, item, *args) -> None:
            super().put(item, *args)
            if closing.is_set():
                works.may_go.set()

    monkeypatch.setattr(queue, "PriorityQueue", ReleasesTheHeld)
    pool = DecodePool(1, DecodeLimits())
    pool.start()
    held, *waiting = (pool.decode(png(f"{number}"), PREPROCESS, priority=True) for number in range(3))
    assert works.entered.wait(30)
    closing.set()
    pool.close()
    assert held.result(0)
    assert [future.cancelled() for future in waiting] == [True, True]
    assert works.order == [png("0")]


def test_what_slips_in_while_the_pool_closes_is_cancelled(pool: DecodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "checked_format", lambda *_: pool.close())
    assert pool.decode(png("slipping in"), PREPROCESS).cancelled()


def test_if_one_process_does_not_come_up_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    works = Works(lambda number: number != 2)
    monkeypatch.setattr(decoder_lane, "DecoderProcess", works)
    pool = DecodePool(3, DecodeLimits())
    with pytest.raises(Unavailable, match="did not start"):
        pool.start()
    assert pool.pids == []
    assert all(process.killed for process in works.made)


def test_a_machine_that_cannot_start_a_process_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match=r"could not be started.*/nowhere/python"):
        DecodePool(2, DecodeLimits()).start()


def test_a_process_that_says_what_cannot_be_read_has_not_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    babbling = tmp_path / "python"
    babbling.write_text("#!/bin/sh\necho I am no decoder\nread line\n")
    babbling.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(babbling))
    with pytest.raises(Unavailable, match="did not start"):
        DecodePool(1, DecodeLimits()).start()
