"""Queries of several spaces at once, against the searches of each space alone."""

import asyncio
import itertools

import numpy as np
import pytest

from pixvec.catalogue.sharding import shard_of
from pixvec.domain import Consistency, Metric, SeqToken, ShardPosition, Space
from pixvec.errors import (
    EmbedderUnavailable,
    ImageNotFound,
    InvalidRequest,
    InvalidVector,
    NoTextTower,
    PictureNotRecognised,
    ShardUnavailable,
    SpaceNotFound,
)
from pixvec.fusion import FusedSpace, Fusion, FusionMethod
from pixvec.rpc.memory_embedder import vector_from_bytes
from services.gateway.query import Deadline, Part, Query
from tests.in_loop import in_loop
from tests.unit.gateway.fusing import ask, fuse
from tests.unit.gateway.reading import DIM, ReadSide

IDS = [f"p/{number}" for number in range(40)]
COLOURS = Space("colours", "hues", 6, Metric.EUCLIDEAN, "ee" * 32)
TEXTURE = Space("texture", "grain", 4, Metric.INNER_PRODUCT, "ff" * 32)
ALL = {"image": 1.0, "colours": 0.5, "texture": 2.0}


def reader(shards=1, searchers=1, **settings):
    side = ReadSide(shards, searchers, further=(COLOURS, TEXTURE), **settings)
    rng = np.random.default_rng(5)
    for image_id in IDS:
        side.put_vectors(
            image_id,
            image=np.frombuffer(vector_from_bytes(image_id.encode(), DIM), "<f4"),
            colours=rng.normal(size=6),
            texture=rng.normal(size=4),
        )
    return side


async def alone(side, **query):
    """Return what each space says of all images when it is asked by itself: lists of ids, and scores by id."""
    found = {space: (await ask(side, space=space, limit=1000, **query)).hits for space in ALL}
    return (
        {space: [hit.image_id for hit in hits] for space, hits in found.items()},
        {space: {hit.image_id: hit.score for hit in hits} for space, hits in found.items()},
    )


def by_ranks(lists, weights, k, depth):
    fused = dict.fromkeys((each for own in lists.values() for each in own[:depth]), 0.0)
    for space, weight in weights.items():
        for rank, image_id in enumerate(lists[space][:depth], 1):
            fused[image_id] += weight / (k + rank)
    return fused


def by_scores(lists, scores, weights, depth):
    candidates = {each for space in weights for each in lists[space][:depth]}
    fused = dict.fromkeys(candidates, 0.0)
    for space, weight in weights.items():
        best, rest = (scores[space][lists[space][rank]] for rank in (0, depth - 1))
        for image_id in candidates:
            share = (scores[space][image_id] - rest) / (best - rest)
            fused[image_id] += weight / sum(weights.values()) * max(share, -1)
    return fused


def best(fused):
    return sorted(fused, key=lambda image_id: (-np.float32(fused[image_id]), image_id))


@pytest.mark.parametrize("depth", [3, 12, 40])
@pytest.mark.parametrize(("shards", "searchers"), [(1, 1), (3, 2)])
@pytest.mark.parametrize("method", FusionMethod)
@in_loop
async def test_it_is_the_fusion_of_the_single_searches(monkeypatch, shards, searchers, method, depth):
    side = reader(shards, searchers)
    monkeypatch.setattr("services.gateway.fusion._LEAST_DEPTH", depth)
    monkeypatch.setattr("services.gateway.fusion._MOST_DEPTH", depth)
    lists, scores = await alone(side, image=b"p/7")
    truth = by_ranks(lists, ALL, 20, depth) if method is FusionMethod.RRF else by_scores(lists, scores, ALL, depth)
    answer = await ask(side, image=b"p/7", fusion=fuse(ALL, method, 20), limit=40)
    assert [hit.image_id for hit in answer.hits] == best(truth)
    assert [hit.score for hit in answer.hits] == pytest.approx([truth[each] for each in best(truth)], rel=1e-5)
    for hit in answer.hits:
        assert answer.scores[hit.image_id] == pytest.approx(
            {space: own[hit.image_id] for space, own in scores.items()}, abs=1e-5
        )
    assert (answer.shards_total, answer.shards_answered, answer.space) == (shards, shards, "")
    assert not answer.of_regions


@pytest.mark.parametrize("method", FusionMethod)
@in_loop
async def test_pages_and_a_threshold_cut_one_list(method):
    side = reader(3)
    query = {"image": b"p/7", "fusion": fuse(ALL, method)}
    whole = (await ask(side, limit=40, **query)).hits
    pages = [(await ask(side, limit=7, offset=offset, **query)).hits for offset in range(0, 40, 7)]
    assert [hit for page in pages for hit in page] == whole
    assert len(whole) == 40
    bar = whole[4].score
    assert (await ask(side, limit=40, min_score=bar, **query)).hits == whole[:5]


@in_loop
async def test_what_a_score_is_measured_by_does_not_depend_on_the_page():
    side = ReadSide(3, further=(COLOURS, TEXTURE))
    rng = np.random.default_rng(6)
    for number in range(300):
        rows = {"image": rng.normal(size=DIM), "colours": rng.normal(size=6), "texture": rng.normal(size=4)}
        side.put_vectors(f"p/{number}", **rows)
    query = {"image": b"x", "fusion": fuse(ALL, FusionMethod.WEIGHTED)}
    first, deeper = await ask(side, limit=10, **query), await ask(side, limit=250, **query)
    assert [hit.score for hit in first.hits] == [hit.score for hit in deeper.hits[:10]]
    assert deeper.hits[-1].score < 0


@pytest.mark.parametrize("method", FusionMethod)
@in_loop
async def test_pictures_below_the_threshold_of_a_space_are_left_out(monkeypatch, method):
    side = reader(3)
    _, scores = await alone(side, image=b"p/7")
    bar = sorted(scores["colours"].values())[20]
    monkeypatch.setattr("services.gateway.fusion._LEAST_DEPTH", 10)
    monkeypatch.setattr("services.gateway.fusion._MOST_DEPTH", 10)
    free = await ask(side, image=b"p/7", fusion=fuse(ALL, method), limit=40)
    cut = await ask(side, image=b"p/7", fusion=fuse(ALL, method, colours=bar), limit=40)
    high = [image_id for image_id in scores["colours"] if scores["colours"][image_id] >= bar]
    assert len(cut.hits) > 0
    assert {hit.image_id for hit in cut.hits} <= set(high)
    assert {hit.image_id for hit in free.hits} - set(high)


@in_loop
async def test_a_space_without_weight_is_only_told(monkeypatch):
    side = reader()
    monkeypatch.setattr("services.gateway.fusion._LEAST_DEPTH", 3)
    lists, scores = await alone(side, image=b"p/7")
    for method in FusionMethod:
        answer = await ask(side, image=b"p/7", fusion=fuse({"colours": 0.0, "image": 5.0}, method), limit=3)
        assert [hit.image_id for hit in answer.hits] == lists["image"][:3]
        told = [answer.scores[hit.image_id]["colours"] for hit in answer.hits]
        assert told == pytest.approx([scores["colours"][hit.image_id] for hit in answer.hits], abs=1e-5)


@in_loop
async def test_one_space_alone_is_the_search_of_it():
    side = reader(2)
    single = await ask(side, image=b"p/7", space="texture")
    fused = await ask(side, image=b"p/7", fusion=fuse({"texture": 1.0}))
    assert [hit.image_id for hit in fused.hits] == [hit.image_id for hit in single.hits]


@in_loop
async def test_each_model_is_asked_once_and_all_at_the_same_time(monkeypatch):
    twin = Space("twin", "hues", 6, Metric.COSINE, COLOURS.digest)
    side = ReadSide(2, further=(COLOURS, twin, TEXTURE))
    for image_id in IDS:
        side.put_vectors(image_id, image=np.ones(DIM), colours=np.ones(6), twin=np.ones(6), texture=np.ones(4))
    models, all_three = [], asyncio.Barrier(3)
    embed = side.embedder.embed_images

    async def noted(model, *arguments, **named):
        models.append(model)
        await all_three.wait()
        return await embed(model, *arguments, **named)

    monkeypatch.setattr(side.embedder, "embed_images", noted)
    answer = await ask(side, image=b"p/7", fusion=fuse({"image": 1, "colours": 1, "twin": 1, "texture": 1}))
    assert sorted(models) == ["fake", "grain", "hues"]
    assert len(answer.scores[answer.hits[0].image_id]) == 4


@in_loop
async def test_what_is_not_waited_for_any_more_is_cancelled(monkeypatch):
    side, cancelled = reader(), []

    async def embed(model, *_, **__):
        if model == "grain":
            raise EmbedderUnavailable("busy")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(model)
            raise

    monkeypatch.setattr(side.embedder, "embed_images", embed)
    with pytest.raises(EmbedderUnavailable):
        await ask(side, image=b"p/7", fusion=fuse(ALL))
    await asyncio.sleep(0)
    assert sorted(cancelled) == ["fake", "hues"]


@in_loop
async def test_equal_pictures_are_in_order_of_their_ids():
    side = ReadSide(3, further=(COLOURS, TEXTURE))
    for image_id in reversed(IDS):
        side.put_vectors(image_id, image=np.ones(DIM), colours=np.ones(6), texture=np.ones(4))
    weighted = await ask(side, image=b"x", fusion=fuse(ALL, FusionMethod.WEIGHTED), limit=40)
    assert [hit.image_id for hit in weighted.hits] == sorted(IDS)
    assert [hit.image_id for hit in (await ask(side, image=b"x", fusion=fuse(ALL), limit=40)).hits] == sorted(IDS)


@in_loop
async def test_an_image_is_searched_by_what_is_stored_of_it_in_each_space():
    side = reader(3)
    answer = await ask(side, image_id="p/9", fusion=fuse(ALL, FusionMethod.WEIGHTED))
    assert answer.scores["p/9"]["image"] == pytest.approx(1, abs=1e-5)
    assert answer.scores["p/9"]["colours"] == pytest.approx(0, abs=1e-3)
    assert side.embedder.calls == []
    with pytest.raises(ImageNotFound, match="gone"):
        await ask(side, image_id="gone", fusion=fuse(ALL))


@in_loop
async def test_a_vector_goes_to_spaces_that_take_it():
    side = ReadSide(2, further=(Space("other", "others", DIM, Metric.EUCLIDEAN, "aa" * 32), COLOURS))
    for image_id in IDS:
        row = np.frombuffer(vector_from_bytes(image_id.encode(), DIM), "<f4")
        side.put_vectors(image_id, image=row, other=row, colours=np.ones(6))
    vector = vector_from_bytes(b"p/3", DIM)
    assert (await ask(side, vector=vector, fusion=fuse({"image": 1, "other": 1}))).hits[0].image_id == "p/3"
    with pytest.raises(InvalidVector, match=r"8 dimensions; space 'colours' \(model hues\) takes 6") as caught:
        await ask(side, vector=vector, fusion=fuse({"image": 1, "colours": 1}))
    assert caught.value.field == "vector"


@in_loop
async def test_a_text_goes_to_spaces_that_take_texts():
    clip = Space("clip", "open_clip:small", 6, Metric.COSINE, "aa" * 32, takes_text=True)
    side = ReadSide(takes_text=True, further=(clip, COLOURS))
    for image_id in IDS:
        rows = {"image": DIM, "clip": 6, "colours": 6}
        made = {s: np.frombuffer(vector_from_bytes(image_id.encode(), dim), "<f4") for s, dim in rows.items()}
        side.put_vectors(image_id, **made)
    both = fuse({"image": 1, "clip": 1})
    assert (await ask(side, text="p/3", fusion=both)).hits[0].image_id == "p/3"
    parts = (Part(text="p/3"), Part(image=b"p/4", weight=0.1))
    assert (await ask(side, parts=parts, fusion=both)).hits[0].image_id == "p/3"
    for query in ({"text": "p/3"}, {"parts": parts}):
        with pytest.raises(NoTextTower, match="'colours' of photos takes pictures only: leave it out") as caught:
            await ask(side, fusion=fuse({"clip": 1, "colours": 1}), **query)
        assert caught.value.field == "fusion.spaces[1].space"


@pytest.mark.parametrize(
    ("query", "error", "message", "field"),
    [
        ({"fusion": fuse({"image": 1, "shapes": 1})}, SpaceNotFound, "has image, colours, texture", "spaces[1].space"),
        ({"fusion": fuse({"image": 0, "colours": 0})}, InvalidRequest, "weight above 0", "fusion.spaces"),
        (
            {"fusion": Fusion((FusedSpace("image"), FusedSpace("colours"), FusedSpace("image", 2)))},
            InvalidRequest,
            "'image' is fused twice: name it once",
            "fusion.spaces[2].space",
        ),
        ({"fusion": fuse(ALL), "space": "image"}, InvalidRequest, "leave space, box and region_id out", "fusion"),
    ],
)
@in_loop
async def test_spaces_that_cannot_be_fused(query, error, message, field):
    with pytest.raises(error, match=message) as caught:
        await ask(reader(), image=b"p/7", **query)
    assert caught.value.field.endswith(field)


@in_loop
async def test_what_is_no_picture_is_refused():
    with pytest.raises(PictureNotRecognised, match="the query picture"):
        await ask(reader(), image=b"bad one", fusion=fuse(ALL))


@pytest.mark.parametrize("method", FusionMethod)
@in_loop
async def test_an_answer_speaks_for_the_shards_that_answered_everywhere(method):
    side = reader(2, 2)
    side.split()
    await ask(side, image=b"x", fusion=fuse(ALL, method))
    side.searchers.down.add("searcher-1")
    answer = await ask(side, image=b"x", fusion=fuse(ALL, method), limit=40)
    assert (answer.shards_total, answer.shards_answered) == (2, 1)
    assert {hit.image_id for hit in answer.hits} == {each for each in IDS if shard_of(each, 2) == 0}
    token = SeqToken((ShardPosition(0, "memory", 1), ShardPosition(1, "memory", 1)))
    query = Query("photos", image=b"x", fusion=fuse(ALL), consistency=Consistency.SESSION, token=token)
    with pytest.raises(ShardUnavailable):
        await side.queries.run(query, Deadline(0.3))


@pytest.mark.parametrize("method", FusionMethod)
@in_loop
async def test_a_shard_that_answers_for_one_space_only_is_left_out(monkeypatch, method):
    side = reader(2, 2)
    side.split()
    search, failing = side.searchers.search, itertools.count()

    async def half(address, wanted, timeout_s):
        if address == "searcher-1" and wanted.space == "colours":
            next(failing)
            raise ShardUnavailable("busy")
        return await search(address, wanted, timeout_s)

    monkeypatch.setattr(side.searchers, "search", half)
    answer = await ask(side, image=b"x", fusion=fuse(ALL, method), limit=40)
    assert next(failing) > 0
    assert answer.shards_answered == 1
    assert {shard_of(hit.image_id, 2) for hit in answer.hits} == {0}


@in_loop
async def test_a_session_sees_its_writes_in_every_space():
    side = reader()
    seq = side.shards[0].applied_seq
    fresh = {"consistency": Consistency.SESSION, "token": SeqToken((ShardPosition(0, "memory", seq),))}
    for method in FusionMethod:
        answer = await ask(side, image=b"p/7", fusion=fuse(ALL, method), **fresh)
        assert len(answer.hits) == 10
    ahead = SeqToken((ShardPosition(0, "memory", seq + 1),))
    query = Query("photos", image=b"p/7", fusion=fuse(ALL), consistency=Consistency.SESSION, token=ahead)
    with pytest.raises(ShardUnavailable):
        await side.queries.run(query, Deadline(0.3))


@pytest.mark.parametrize("method", FusionMethod)
@in_loop
async def test_an_image_that_goes_between_search_and_score_is_left_out_of_means(monkeypatch, method):
    side = reader()
    monkeypatch.setattr("services.gateway.fusion._LEAST_DEPTH", 2)
    monkeypatch.setattr("services.gateway.fusion._MOST_DEPTH", 2)

    async def none(*_):
        return {}

    monkeypatch.setattr(side.searchers, "score", none)
    answer = await ask(side, image=b"p/7", fusion=fuse(ALL, method), limit=2)
    assert len(answer.hits) == (2 if method is FusionMethod.RRF else 0)
