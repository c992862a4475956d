"""Searches and stored vectors: as fresh as asked, or an error that says why not."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import Metric, ShardPosition, Space
from pixvec.errors import (
    DigestMismatch,
    InvalidVector,
    ShardUnavailable,
    SpaceNotFound,
    StaleToken,
    Unavailable,
)
from services.searcher.search import Query
from tests.in_loop import in_loop
from tests.unit.searcher.searching import SPACE, Bench, a_turn, end_of, names, vector

LIMIT_S = 30.0
DIGEST = bytes.fromhex(SPACE.digest)


def query(collection_id: int, *shards: int, wait_for: tuple[ShardPosition, ...] = ()) -> Query:
    return Query(collection_id, shards or (0,), "image", DIGEST, vector(1)[None], 100, None, wait_for)


@in_loop
async def test_shards_are_merged(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection(shards=3)
        bench.index(collection, *range(30))
        for shard in range(3):
            await bench.ready(collection, shard)
        answer = await bench.searches.search(query(collection.collection_id, 0, 1, 2), LIMIT_S)
        (hits,) = answer.rows
        assert set(hits.image_ids) == names(*range(30))
        assert hits.image_ids[0] == "image-1"
        assert hits.scores.tolist() == sorted(hits.scores.tolist(), reverse=True)
        assert answer.shards_answered == (0, 1, 2)


@in_loop
async def test_what_is_not_held_or_not_ready_is_left_out(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection(shards=2)
        held = await bench.ready(collection, 0)
        answer = await bench.searches.search(query(collection.collection_id, 0, 1, 2), LIMIT_S)
        assert 0 in answer.shards_answered
        assert 2 not in answer.shards_answered
        held.ready = False
        assert (await bench.searches.search(query(collection.collection_id, 0), LIMIT_S)).shards_answered == ()
        assert (await bench.searches.search(query(77, 0), LIMIT_S)).shards_answered == ()


@in_loop
async def test_waits_for_a_push(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        held = await bench.ready(collection)
        bench.database.is_down = True
        (batch,) = bench.index(collection, 1)
        search = query(collection.collection_id, wait_for=(end_of(batch),))
        searching = asyncio.create_task(bench.searches.search(search, LIMIT_S))
        await a_turn()
        assert not searching.done()
        await asyncio.to_thread(held.advance, batch.prev_seq, batch.entries, 1)
        assert (await searching).rows[0].image_ids == ["image-1"]


@in_loop
async def test_reads_the_feed_at_once_for_who_waits(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        await bench.ready(collection)
        (batch,) = bench.index(collection, 1)
        search = query(collection.collection_id, wait_for=(end_of(batch),))
        assert (await bench.searches.search(search, LIMIT_S)).rows[0].image_ids == ["image-1"]


@in_loop
async def test_says_how_far_it_has_come_when_the_deadline_passes(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        (batch,) = bench.index(collection, 1, 2)
        await bench.ready(collection)
        ahead = replace(end_of(batch), seq=9)
        with pytest.raises(ShardUnavailable, match=r"shard 0 of collection \d+ has applied 2, not 9 as asked"):
            await bench.searches.search(query(collection.collection_id, wait_for=(ahead,)), 0.01)


@in_loop
async def test_positions_of_other_shards_are_not_waited_for(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        await bench.ready(collection)
        elsewhere = ShardPosition(5, "whatever", 99)
        answer = await bench.searches.search(query(collection.collection_id, wait_for=(elsewhere,)), LIMIT_S)
        assert answer.shards_answered == (0,)


@in_loop
async def test_a_token_from_before_a_restore_is_stale(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        (batch,) = bench.index(collection, 1)
        await bench.ready(collection)
        running = asyncio.create_task(bench.follower.run())
        stale = replace(end_of(batch), epoch="before")
        with pytest.raises(StaleToken, match="before") as caught:
            await bench.searches.search(query(collection.collection_id, wait_for=(stale,)), LIMIT_S)
        assert caught.value.field == "token"
        running.cancel()


@in_loop
async def test_a_token_from_after_a_restore_is_waited_for(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        (batch,) = bench.index(collection, 1)
        await bench.ready(collection)
        bench.database.epoch = "renewed"
        running = asyncio.create_task(bench.follower.run())
        position = replace(end_of(batch), epoch="renewed")
        search = query(collection.collection_id, wait_for=(position,))
        assert (await bench.searches.search(search, LIMIT_S)).rows[0].image_ids == ["image-1"]
        running.cancel()


@in_loop
async def test_waiting_for_a_shard_that_is_not_held(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        running = asyncio.create_task(bench.follower.run())
        with pytest.raises(ShardUnavailable, match="not held"):
            await bench.searches.search(query(77, wait_for=(ShardPosition(0, "e", 1),)), LIMIT_S)
        running.cancel()


@in_loop
async def test_waiting_for_a_shard_that_was_just_placed_here(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        running = asyncio.create_task(bench.follower.run())
        await bench.follower.polled()
        collection = bench.collection()
        (batch,) = bench.index(collection, 1)
        search = query(collection.collection_id, wait_for=(end_of(batch),))
        assert (await bench.searches.search(search, LIMIT_S)).rows[0].image_ids == ["image-1"]
        running.cancel()


@in_loop
async def test_bad_queries(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        await bench.ready(collection)
        good = query(collection.collection_id)
        for bad, error in [
            (replace(good, digest=b"\xff" * 32), DigestMismatch),
            (replace(good, space="colour"), SpaceNotFound),
            (replace(good, vectors=np.ones((1, 3), np.float32)), InvalidVector),
            (replace(good, vectors=np.full((1, 4), np.nan, np.float32)), InvalidVector),
        ]:
            with pytest.raises(error):
                await bench.searches.search(bad, LIMIT_S)


@in_loop
async def test_a_mismatch_names_both_digests(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        await bench.ready(collection)
        with pytest.raises(DigestMismatch) as caught:
            await bench.searches.search(replace(query(collection.collection_id), digest=b"\xff" * 32), LIMIT_S)
        assert "ff" * 32 in caught.value.message
        assert SPACE.digest in caught.value.message


@in_loop
async def test_no_name_is_the_first_space_and_no_digest_is_any(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection(spaces=(SPACE, Space("other", "x", 2, Metric.EUCLIDEAN, "cd" * 32)))
        await bench.ready(collection)
        outside = replace(query(collection.collection_id), space="", digest=b"")
        assert (await bench.searches.search(outside, LIMIT_S)).shards_answered == (0,)


@in_loop
async def test_a_call_whose_time_is_up_does_no_work(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        await bench.ready(collection)
        with pytest.raises(Unavailable, match="deadline"):
            await bench.searches.search(query(collection.collection_id), 0.0)


@in_loop
async def test_stored_vectors(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        await bench.ready(collection)
        (batch,) = bench.index(collection, 1, 2)
        found = await bench.searches.vectors(
            collection.collection_id, 0, "image", ["image-1", "image-9"], [end_of(batch)], LIMIT_S
        )
        assert list(found) == ["image-1"]
        assert np.allclose(found["image-1"], vector(1) / np.linalg.norm(vector(1)), atol=1e-3)


@in_loop
async def test_stored_vectors_of_what_is_not_here(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        await bench.ready(collection)
        with pytest.raises(SpaceNotFound):
            await bench.searches.vectors(collection.collection_id, 0, "colour", ["image-1"], [], LIMIT_S)
        with pytest.raises(ShardUnavailable):
            await bench.searches.vectors(77, 0, "image", ["image-1"], [], LIMIT_S)
