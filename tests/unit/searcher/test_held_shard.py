import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pixvec.catalogue.feed import FeedEntry
from pixvec.index.interfaces import Change
from pixvec.index.shard import Shard
from services.searcher.held_shard import HeldShard
from tests.in_loop import in_loop
from tests.unit.searcher.searching import Bench, found, names, packed


def row(seq: int, number: int) -> FeedEntry:
    return FeedEntry(seq, f"image-{number}", False, packed(number))


def gone(seq: int, number: int) -> FeedEntry:
    return FeedEntry(seq, f"image-{number}", True, b"")


async def standing_at_3(bench: Bench) -> HeldShard:
    collection = bench.collection()
    bench.index(collection, 1, 2, 3)
    return await bench.ready(collection)


@pytest.mark.parametrize(
    ("prev_seq", "entries", "through_seq", "applied", "expected"),
    [
        (3, [row(4, 4), gone(5, 1)], 5, True, names(2, 3, 4)),
        (5, [row(6, 6)], 6, False, names(1, 2, 3)),
        (1, [row(2, 2), row(3, 3)], 3, True, names(1, 2, 3)),
        (0, [gone(2, 2), gone(3, 3), row(4, 4)], 4, True, names(1, 2, 3, 4)),
        (3, [], 9, True, names(1, 2, 3)),
    ],
    ids=["follows on", "gap", "known already", "overlapping", "nothing but numbers"],
)
@in_loop
async def test_advancing(
    tmp_path: Path, prev_seq: int, entries: Sequence[FeedEntry], through_seq: int, applied: bool, expected: set[str]
) -> None:
    with Bench(tmp_path) as bench:
        held = await standing_at_3(bench)
        assert held.advance(prev_seq, entries, through_seq) is applied
        assert found(held) == expected
        assert held.applied_seq == (max(3, through_seq) if applied else 3)


@in_loop
async def test_advancing_wakes_who_waits(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        held = await standing_at_3(bench)
        waiting = asyncio.create_task(held.changed())
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.to_thread(held.advance, 3, [row(4, 4)], 4)
        await waiting


@in_loop
async def test_a_push_and_a_page_of_the_same_rows_apply_one_after_the_other(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        held = await standing_at_3(bench)
        entered, leave = threading.Event(), threading.Event()
        batches: list[list[str]] = []

        class Slow(Shard):
            def apply(self, changes: Sequence[Change], through_seq: int) -> None:
                entered.set()
                assert leave.wait(30)
                batches.append([change.image_id for change in changes])
                super().apply(changes, through_seq)

        slow = Slow(held.index.spaces)
        slow.finish_restore(3, 0)
        held.index = slow
        push = asyncio.create_task(asyncio.to_thread(held.advance, 3, [row(4, 4)], 4))
        await asyncio.to_thread(entered.wait, 30)
        page = asyncio.create_task(asyncio.to_thread(held.advance, 3, [row(4, 4), row(5, 5)], 5))
        leave.set()
        assert await asyncio.gather(push, page) == [True, True]
        assert batches == [["image-4"], ["image-5"]]
