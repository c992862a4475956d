import struct
import threading

import numpy as np
import pytest

from pixvec.domain import Consistency, Metric, SearchOptions, SeqToken, ShardPosition
from pixvec.errors import (
    CollectionNotFound,
    ImageNotFound,
    InvalidRequest,
    InvalidVector,
    PictureNotRecognised,
    ShardUnavailable,
    SpaceNotFound,
    StaleToken,
)
from pixvec.index.brute import NumpyShard
from pixvec.rpc.apart import MANY_HITS
from pixvec.rpc.memory_embedder import vector_from_bytes
from pixvec.rpc.shard_search import RankedHits
from pixvec.telemetry.metrics import QUERY_STAGE_SECONDS
from services.gateway import batches
from services.gateway.batches import best_of
from services.gateway.query import BatchQuery, Deadline, Query
from tests.in_loop import in_loop
from tests.unit.gateway.reading import DIM, ReadSide

IDS = [f"p/{number}" for number in range(40)]


def vectors(*names):
    return b"".join(vector_from_bytes(name.encode(), DIM) for name in names)


async def ask(side, deadline_s=10, **batch):
    fields = {"dim": DIM} | batch if "vectors" in batch else batch
    return await side.batches.run(BatchQuery("photos", **fields), Deadline(deadline_s))


def hits_of(answer):
    return [list(zip(hits.image_ids, hits.scores, strict=True)) for hits in answer.results]


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize(("shards", "searchers", "spread"), [(1, 1, False), (3, 1, False), (2, 2, True)])
@pytest.mark.parametrize("asked", ["vectors", "image_ids", "images"])
@in_loop
async def test_a_batch_equals_its_queries_one_by_one(asked, shards, searchers, spread, metric):
    side = ReadSide(shards, searchers, metric=metric)
    if spread:
        side.split()
    side.put(*IDS)
    names = ["p/3", "p/17", "p/3"]
    batch, singles = {
        "vectors": ({"vectors": vectors(*names)}, [{"vector": vectors(name)} for name in names]),
        "image_ids": ({"image_ids": tuple(names)}, [{"image_id": name} for name in names]),
        "images": ({"images": tuple(map(str.encode, names))}, [{"image": name.encode()} for name in names]),
    }[asked]
    common = {"limit": 7, "min_score": -1.5}
    answer = await ask(side, **batch, **common)
    alone = [await side.queries.run(Query("photos", **single, **common), Deadline(10)) for single in singles]
    assert hits_of(answer) == [[(hit.image_id, hit.score) for hit in each.hits] for each in alone]
    assert (answer.shards_answered, answer.shards_total, answer.space) == (shards, shards, "image")
    assert answer.timings.total >= answer.timings.search > 0


@in_loop
async def test_each_searcher_is_asked_once_for_all_vectors():
    side = ReadSide(4, searchers=2)
    side.put(*IDS)
    await ask(side, vectors=vectors(*IDS))
    assert [shards for _, shards in side.searchers.calls] == [(0, 1, 2, 3)]


@pytest.mark.parametrize(("limit", "in_loop_thread"), [(10, True), (MANY_HITS // 80, False)])
@in_loop
async def test_very_many_hits_are_merged_beside_the_loop(limit, in_loop_thread, monkeypatch):
    threads = set()

    def noted(parts, k):
        threads.add(threading.current_thread())
        return best_of(parts, k)

    monkeypatch.setattr(batches, "best_of", noted)
    side = ReadSide(2, searchers=2)
    side.split()
    side.put(*IDS)
    answer = await ask(side, vectors=vectors(*IDS), limit=limit)
    assert [hits.image_ids[0] for hits in answer.results] == IDS
    # What counts is what two searchers find for each of 40 queries.
    assert (threads == {threading.current_thread()}) is in_loop_thread


def observed(stage):
    series = QUERY_STAGE_SECONDS.labels("QueryBatch", stage)
    return sum(bucket.get() for bucket in series._buckets)


@in_loop
async def test_the_stages_of_a_batch_are_measured():
    side = ReadSide(2)
    side.put(*IDS)
    stages = ("inference", "search", "merge", "hydrate")
    before = [observed(stage) for stage in stages]
    await ask(side, images=(b"p/3", b"p/4"))
    await ask(side, vectors=vectors("p/3"))
    after = [observed(stage) for stage in stages]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 2, 2, 1]


@pytest.mark.parametrize(
    "batch",
    [
        {"images": (b"a",) * 4},
        {"image_ids": ("a",) * 4},
        {"texts": ("a",) * 4},
        {"vectors": vectors(*"abcd")},
    ],
)
@in_loop
async def test_more_numbers_than_a_message_carries_are_refused_and_how_many_do_is_said(monkeypatch, batch):
    side = ReadSide(takes_text=True)
    side.put("a", "b")
    for most in ("MAX_CALL_NUMBERS", "MAX_SENT_NUMBERS"):
        monkeypatch.setattr(f"services.gateway.planner.{most}", 4 * DIM - 1)
    with pytest.raises(InvalidRequest, match="send at most 3 queries at once") as caught:
        await ask(side, **batch)
    assert [caught.value.field] == list(batch)
    ((kind, queries),) = batch.items()
    fewer = queries[: 3 * 4 * DIM if kind == "vectors" else 3]
    assert len((await ask(side, **{kind: fewer})).results) == 3


@in_loop
async def test_long_vectors_are_made_fewer_at_once(monkeypatch):
    side = ReadSide(takes_text=True)
    side.put(*IDS)
    made = []

    def noted(method):
        async def embed(model, digest, items, *rest):
            made.append(len(items))
            return await method(model, digest, items, *rest)

        return embed

    for kind in ("embed_images", "embed_texts"):
        monkeypatch.setattr(side.embedder, kind, noted(getattr(side.embedder, kind)))
    for most, sizes in ((2 * DIM, [2, 2, 1]), (DIM - 1, [1] * 5)):
        monkeypatch.setattr("services.gateway.resolver.MAX_CALL_NUMBERS", most)
        await ask(side, images=tuple(name.encode() for name in IDS[:5]))
        await ask(side, texts=tuple(IDS[:5]))
        assert made == sizes * 2
        made.clear()


@in_loop
async def test_stored_vectors_are_asked_for_once_a_shard():
    side = ReadSide(2)
    side.put(*IDS)
    answer = await ask(side, image_ids=tuple(IDS), limit=1)
    assert [hits.image_ids for hits in answer.results] == [[name] for name in IDS]
    assert sorted(shards for _, shards in side.searchers.calls) == [(0,), (0, 1), (1,)]


@in_loop
async def test_many_pictures_are_embedded_some_at_a_time():
    side = ReadSide()
    side.put(*IDS)
    answer = await ask(side, images=tuple(name.encode() for name in IDS) * 20, limit=1)
    assert [hits.image_ids for hits in answer.results] == [[name] for name in IDS] * 20
    assert len(side.embedder.calls) == 4


def bad(values):
    return vectors("a") + struct.pack(f"<{DIM}f", *values) + vectors("b")


@pytest.mark.parametrize(
    ("batch", "error", "message", "field"),
    [
        ({"vectors": bad([float("nan")] * DIM)}, InvalidVector, "query 1: .*not finite", "vectors.data"),
        ({"vectors": bad([float("inf")] * DIM)}, InvalidVector, "query 1: .*not finite", "vectors.data"),
        ({"vectors": bad([0.0] * DIM)}, InvalidVector, "query 1: .*zeros", "vectors.data"),
        ({"vectors": bytes(4), "dim": 1}, InvalidVector, "1 dimensions.*takes 8", "vectors.dim"),
        ({"vectors": vectors("a") + b"1234"}, InvalidVector, "36 bytes are no whole rows of 8", "vectors.data"),
        ({"vectors": vectors("a") * 1001}, InvalidRequest, "1001 queries.*at most 1000", "vectors"),
        ({"vectors": vectors("a") * 11, "limit": 10_000}, InvalidRequest, "11 queries of 10000", "limit"),
        ({"image_ids": ("p/1", "gone")}, ImageNotFound, "query 1: .*'gone'", "image_ids.ids[1]"),
        ({"images": (b"p/1", b"bad")}, PictureNotRecognised, "query 1: ", "images.contents[1]"),
        ({"images": (b"p/1",), "space": "region"}, SpaceNotFound, "it has image", "space"),
        (
            {
                "images": (b"x",),
                "consistency": Consistency.SESSION,
                "token": SeqToken((ShardPosition(7, "memory", 1),)),
            },
            InvalidRequest,
            "another collection",
            "token",
        ),
    ],
)
@in_loop
async def test_what_cannot_be_answered_names_the_query(batch, error, message, field):
    side = ReadSide(2)
    side.put(*IDS)
    with pytest.raises(error, match=message) as caught:
        await ask(side, **batch)
    assert caught.value.field == field
    assert not any(shards == (0, 1) for _, shards in side.searchers.calls), "nothing is searched for"


@in_loop
async def test_zeros_have_a_distance():
    side = ReadSide(metric=Metric.EUCLIDEAN)
    side.put("a")
    assert [hits.image_ids for hits in (await ask(side, vectors=bytes(4 * DIM * 2))).results] == [["a"], ["a"]]


@in_loop
async def test_a_collection_that_is_not_there_is_named():
    with pytest.raises(CollectionNotFound, match="elsewhere"):
        await ReadSide().batches.run(BatchQuery("elsewhere", images=(b"x",)), Deadline(10))


@in_loop
async def test_options_reach_every_shard(monkeypatch):
    side = ReadSide(2)
    side.put(*IDS)
    told, search = [], NumpyShard.search

    def listen(shard, *arguments):
        told.append(arguments[-1])
        return search(shard, *arguments)

    monkeypatch.setattr(NumpyShard, "search", listen)
    options = SearchOptions(exact=True, ef=9, nprobe=8, rescore=2.5)
    await ask(side, vectors=vectors("x"), options=options)
    await side.queries.run(Query("photos", vector=vectors("x"), options=options), Deadline(10))
    assert told == [options] * 4


@in_loop
async def test_eventual_answers_say_what_they_cover_and_a_session_is_whole():
    side = ReadSide(2, searchers=2)
    side.split()
    side.put(*IDS)
    side.searchers.down.add("searcher-1")
    answer = await ask(side, vectors=vectors("a", "b"), limit=40)
    assert (answer.shards_answered, answer.shards_total) == (1, 2)
    assert all(0 < len(hits.image_ids) < 40 for hits in answer.results)
    with pytest.raises(ShardUnavailable, match="shard 1 of photos"):
        await ask(side, deadline_s=0.2, vectors=vectors("a"), consistency=Consistency.SESSION)
    with pytest.raises(ShardUnavailable, match="shard 1 of photos"):
        await ask(side, image_ids=tuple(IDS))


@in_loop
async def test_another_replica_answers_for_one_that_is_down():
    side = ReadSide(3, searchers=2)
    side.put(*IDS)
    side.searchers.down.add("searcher-0")
    for _ in range(4):
        answer = await ask(side, image_ids=tuple(IDS), limit=1)
        assert [hits.image_ids for hits in answer.results] == [[name] for name in IDS]
        assert answer.shards_answered == 3


@in_loop
async def test_tokens_are_honoured():
    side = ReadSide(2)
    side.put("p/0")
    written = next(number for number, shard in enumerate(side.shards) if shard.applied_seq)

    def session(epoch, seq):
        return {
            "consistency": Consistency.SESSION,
            "token": SeqToken((ShardPosition(written, epoch, seq),)),
            "image_ids": ("p/0",),
        }

    assert (await ask(side, **session("memory", 1))).results[0].image_ids == ["p/0"]
    with pytest.raises(ShardUnavailable):
        await ask(side, deadline_s=0.2, **session("memory", 2))
    with pytest.raises(StaleToken):
        await ask(side, **session("before the restore", 1))


def test_lists_of_several_searchers_become_one_in_order_of_score_and_id():
    rng = np.random.default_rng(3)
    for _ in range(50):
        parts, everything = [], []
        for part in range(3):
            # Few different scores: ties inside a list, between lists, and at the cut.
            scores = sorted(rng.integers(0, 4, rng.integers(0, 8)).astype(float).tolist(), reverse=True)
            ids = [f"{part}/{number}" for number in rng.permutation(len(scores))]
            pairs = sorted(zip(scores, ids, strict=True), key=lambda pair: (-pair[0], pair[1]))
            parts.append(RankedHits([image_id for _, image_id in pairs], [score for score, _ in pairs]))
            everything += pairs
        truth = sorted(everything, key=lambda pair: (-pair[0], pair[1]))[:6]
        best = best_of(parts, 6)
        assert list(zip(best.scores, best.image_ids, strict=True)) == truth
