import struct

import numpy as np
import pytest

from pixvec.domain import Consistency, Metric, SeqToken, ShardPosition
from pixvec.errors import (
    CollectionNotFound,
    DatabaseUnavailable,
    ImageNotFound,
    InvalidRequest,
    InvalidVector,
    Overloaded,
    PictureNotRecognised,
    ShardUnavailable,
    SpaceNotFound,
    StaleToken,
)
from pixvec.rpc.memory_embedder import vector_from_bytes
from services.gateway.query import Deadline, Query
from tests.in_loop import in_loop
from tests.unit.gateway.reading import DIM, ReadSide

IDS = [f"p/{number}" for number in range(40)]


def session(*positions):
    return {"consistency": Consistency.SESSION, "token": SeqToken(tuple(ShardPosition(*each) for each in positions))}


async def ask(side, deadline_s=10, **query):
    return await side.queries.run(Query("photos", **query), Deadline(deadline_s))


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("metric", Metric)
@in_loop
async def test_sharded_answers_equal_the_sorted_truth(shards, metric):
    side = ReadSide(shards, metric=metric)
    side.put(*IDS)
    query = vector_from_bytes(b"somewhere", DIM)
    rows = np.stack([np.frombuffer(vector_from_bytes(each.encode(), DIM), "<f4") for each in IDS]).astype(np.float64)
    wanted = np.frombuffer(query, "<f4").astype(np.float64)
    scores = {
        Metric.COSINE: rows @ wanted / np.linalg.norm(rows, axis=1) / np.linalg.norm(wanted),
        Metric.INNER_PRODUCT: rows @ wanted,
        Metric.EUCLIDEAN: -np.linalg.norm(rows - wanted, axis=1),
    }[metric]
    truth = [IDS[number] for number in np.argsort(-scores)]
    answer = await ask(side, vector=query, limit=40)
    assert [hit.image_id for hit in answer.hits] == truth
    assert [hit.score for hit in answer.hits] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
    assert (answer.shards_answered, answer.shards_total) == (shards, shards)
    paged = [await ask(side, vector=query, limit=7, offset=offset) for offset in range(0, 40, 7)]
    assert [hit.image_id for page in paged for hit in page.hits] == truth
    bar = answer.hits[4].score
    assert len((await ask(side, vector=query, limit=40, min_score=bar)).hits) == 5


@in_loop
async def test_a_picture_an_id_and_a_vector_find_the_same():
    side = ReadSide(3)
    side.put(*IDS)
    by_picture = await ask(side, image=b"p/7")
    by_id = await ask(side, image_id="p/7")
    by_vector = await ask(side, vector=vector_from_bytes(b"p/7", DIM))
    assert by_picture.hits[0].image_id == "p/7"
    assert by_picture.hits[0].score == pytest.approx(1)
    ids = [[hit.image_id for hit in answer.hits] for answer in (by_picture, by_id, by_vector)]
    assert ids[0] == ids[1] == ids[2]


@in_loop
async def test_a_query_by_vector_touches_neither_the_database_nor_the_embedder(monkeypatch):
    side = ReadSide(2)
    side.put(*IDS)
    await ask(side, vector=vector_from_bytes(b"x", DIM))

    async def refuse(*_):
        raise AssertionError("a thread was used")

    monkeypatch.setattr(side.sql, "run", refuse)
    assert len((await ask(side, vector=vector_from_bytes(b"x", DIM))).hits) == 10
    assert side.embedder.calls == []


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (struct.pack("<7f", *[1] * 7), "7 dimensions.*takes 8"),
        (b"x" * 31, "31 bytes"),
        (struct.pack("<8f", *[1] * 7, float("nan")), "not finite"),
        (struct.pack("<8f", *[1] * 7, float("-inf")), "not finite"),
        (bytes(32), "zeros"),
    ],
)
@in_loop
async def test_vectors_that_cannot_be_searched_with(vector, message):
    with pytest.raises(InvalidVector, match=message) as caught:
        await ask(ReadSide(), vector=vector)
    assert caught.value.field == "vector"


@in_loop
async def test_large_and_small_numbers_are_no_reason_to_refuse():
    side = ReadSide()
    side.put("a")
    for number in (1e15, 1e-15):
        assert len((await ask(side, vector=struct.pack("<8f", *[number] * 8))).hits) == 1


@in_loop
async def test_zeros_have_a_distance():
    side = ReadSide(metric=Metric.EUCLIDEAN)
    side.put("a")
    assert [hit.image_id for hit in (await ask(side, vector=bytes(32))).hits] == ["a"]


@in_loop
async def test_what_is_not_there_is_named():
    side = ReadSide(2)
    with pytest.raises(CollectionNotFound, match="elsewhere"):
        await side.queries.run(Query("elsewhere", image=b"x"), Deadline(10))
    with pytest.raises(SpaceNotFound, match="it has image"):
        await ask(side, space="region", image=b"x")
    with pytest.raises(ImageNotFound, match=r"nothing.*linked as a duplicate is searched by its original"):
        await ask(side, image_id="nothing")


@in_loop
async def test_a_bad_picture_is_the_callers_error():
    with pytest.raises(PictureNotRecognised) as caught:
        await ask(ReadSide(), image=b"bad picture")
    assert caught.value.field == "image"


@in_loop
async def test_load_is_spread_over_replicas():
    side = ReadSide(2, searchers=2)
    side.put(*IDS)
    for _ in range(10):
        await ask(side, vector=vector_from_bytes(b"x", DIM))
    asked = [address for address, _ in side.searchers.calls]
    assert {address: asked.count(address) for address in side.addresses} == {"searcher-0": 5, "searcher-1": 5}
    assert all(shards == (0, 1) for _, shards in side.searchers.calls), "one call a searcher"


@pytest.mark.parametrize("consistency", Consistency)
@in_loop
async def test_another_replica_answers_for_one_that_is_down(consistency):
    side = ReadSide(3, searchers=2)
    side.put(*IDS)
    side.searchers.down.add("searcher-0")
    for _ in range(4):
        answer = await ask(side, vector=vector_from_bytes(b"x", DIM), limit=40, consistency=consistency)
        assert (answer.shards_answered, len(answer.hits)) == (3, 40)
        assert (await ask(side, image_id="p/3")).hits[0].image_id == "p/3"


@in_loop
async def test_eventual_answers_say_what_they_cover():
    side = ReadSide(2, searchers=2)
    side.split()
    side.put(*IDS)
    whole = await ask(side, vector=vector_from_bytes(b"x", DIM), limit=40)
    assert (whole.shards_answered, len(whole.hits)) == (2, 40)
    side.searchers.down.add("searcher-1")
    part = await ask(side, vector=vector_from_bytes(b"x", DIM), limit=40)
    assert (part.shards_answered, part.shards_total) == (1, 2)
    assert [hit for hit in whole.hits if hit in part.hits] == part.hits
    assert 0 < len(part.hits) < 40


@in_loop
async def test_no_shard_at_all_is_an_error():
    side = ReadSide(2)
    side.searchers.down.add("searcher-0")
    with pytest.raises(ShardUnavailable, match="shards 0, 1 of photos"):
        await ask(side, vector=vector_from_bytes(b"x", DIM))
    with pytest.raises(ShardUnavailable, match="shard"):
        await ask(side, image_id="p/1")


@in_loop
async def test_a_session_never_gets_a_part():
    side = ReadSide(2, searchers=2)
    side.split()
    side.put(*IDS)
    side.searchers.down.add("searcher-1")
    with pytest.raises(ShardUnavailable, match="shard 1 of photos") as caught:
        await ask(side, deadline_s=0.2, vector=vector_from_bytes(b"x", DIM), consistency=Consistency.SESSION)
    assert caught.value.retry_after_s is not None


@in_loop
async def test_a_session_waits_for_a_searcher_to_come_back():
    side = ReadSide(2)
    side.put(*IDS)
    side.searchers.down.add("searcher-0")
    search = side.searchers.search
    failed = []

    async def comes_back(*arguments):
        try:
            return await search(*arguments)
        except ShardUnavailable:
            failed.append(arguments)
            if len(failed) == 3:
                side.searchers.down.clear()
            raise

    side.searchers.search = comes_back
    answer = await ask(side, vector=vector_from_bytes(b"x", DIM), consistency=Consistency.SESSION)
    assert answer.shards_answered == 2


@in_loop
async def test_tokens_are_honoured():
    side = ReadSide(2)
    side.put("p/0")
    written = next(number for number, shard in enumerate(side.shards) if shard.applied_seq)
    fresh = await ask(side, image_id="p/0", **session((written, "memory", 1)))
    assert fresh.hits[0].image_id == "p/0"
    with pytest.raises(ShardUnavailable):
        await ask(side, deadline_s=0.2, image=b"x", **session((written, "memory", 2)))
    with pytest.raises(StaleToken):
        await ask(side, image=b"x", **session((written, "before the restore", 1)))
    with pytest.raises(InvalidRequest, match="another collection") as caught:
        await ask(side, image=b"x", **session((7, "memory", 1)))
    assert caught.value.field == "token"


@in_loop
async def test_a_token_without_session_is_not_waited_for():
    side = ReadSide()
    side.put("a")
    ahead = SeqToken((ShardPosition(0, "memory", 99),))
    assert (await ask(side, image=b"x", token=ahead)).hits[0].image_id == "a"


@in_loop
async def test_errors_that_any_replica_would_give_are_not_tried_again():
    side = ReadSide(1, searchers=2)
    side.put("a")
    with pytest.raises(StaleToken):
        await ask(side, image=b"x", **session((0, "other", 1)))
    assert len(side.searchers.calls) == 1


@pytest.mark.parametrize("error", [DatabaseUnavailable("down"), Overloaded("full")])
@in_loop
async def test_attributes_that_cannot_be_read_are_said_to_be_missing(monkeypatch, error):
    side = ReadSide()
    side.put("a")

    def fail(*_):
        raise error

    monkeypatch.setattr(side.catalogue.images, "attributes", fail)
    answer = await ask(side, image=b"x", attributes=True)
    assert (answer.attributes_missing, answer.attributes) == (True, None)
    assert [hit.image_id for hit in answer.hits] == ["a"]


@in_loop
async def test_attributes_are_read_only_when_asked_for():
    side = ReadSide()
    side.put("a")
    assert (await ask(side, image=b"x")).attributes is None
    answer = await ask(side, image=b"x", attributes=True)
    assert (answer.attributes, answer.attributes_missing) == ({}, False)


@in_loop
async def test_more_attributes_than_an_answer_carries_are_refused_and_what_to_do_is_said(monkeypatch):
    side = ReadSide(3)
    ids = [f"p/{number}" for number in range(700)]
    side.put(*ids)
    asked = []

    def read(_, image_ids):
        asked.extend(image_ids)
        return {image_id: {"text": "x" * 65_000} for image_id in image_ids}

    monkeypatch.setattr(side.catalogue.images, "attributes", read)
    with pytest.raises(InvalidRequest, match="attributes of 700 hits take more than 32 MiB: ask for fewer"):
        await ask(side, image=b"x", attributes=True, limit=700)
    answer = await ask(side, image=b"x", attributes=True, limit=500)
    assert len(answer.attributes) == 500
    assert (await ask(side, image=b"x", limit=700)).attributes is None
    assert len(asked) == 700 + 500


@in_loop
async def test_search_goes_on_without_the_database(monkeypatch):
    side = ReadSide(2)
    side.put(*IDS)
    await ask(side, image=b"p/1")

    async def down(*_):
        raise DatabaseUnavailable("down")

    monkeypatch.setattr(side.sql, "run", down)
    monkeypatch.setattr("services.gateway.cache.time.monotonic", lambda: 10.0**6)
    assert (await ask(side, image=b"p/1")).hits[0].image_id == "p/1"


@in_loop
async def test_connections_to_searchers_that_are_gone_are_let_go_of():
    side = ReadSide(searchers=2)
    side.put("a")
    for _ in range(2):
        await ask(side, image_id="a")
    assert side.searchers.connected == {"searcher-0", "searcher-1"}
    side.catalogue.topology.heartbeat("searcher-1", "searcher-1", [], lease_s=0)
    side.catalogue.topology.rebalance(2)
    await side.directory.fresh_routing()
    await ask(side, image_id="a")
    assert side.searchers.connected == {"searcher-0"}
