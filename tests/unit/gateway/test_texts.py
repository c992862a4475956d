"""Queries by text and by several things at once, and classes of pictures.

The twin of the embedder takes a text for a picture of the same bytes.
"""

import asyncio
import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.domain import (
    Collection,
    Consistency,
    Metric,
    RegionEmbedding,
    RegionSettings,
    SeqToken,
    ShardPosition,
    Space,
)
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
from pixvec.rpc.embedder_client import LabelTexts
from pixvec.rpc.memory_embedder import vector_from_bytes
from services.gateway.combination import weighted_sum
from services.gateway.planner import plan_batch, plan_classification, plan_query
from services.gateway.query import BatchQuery, ClassifyQuery, Deadline, Part, Query
from services.gateway.query_converters import to_classify_query, to_query
from services.gateway.search_service import SearchService
from tests.in_loop import in_loop
from tests.unit.gateway.reading import DIM, ReadSide

IDS = [f"p/{number}" for number in range(40)]


class Call:
    """Without a deadline."""

    def time_remaining(self):
        return None


SEEING = Space("image", "resnet50", DIM, Metric.COSINE, "cd" * 32)
READING = Space("clip", "open_clip:small", DIM, Metric.COSINE, "ab" * 32, takes_text=True)


def reader(shards=1, metric=Metric.COSINE):
    side = ReadSide(shards, metric=metric, takes_text=True)
    side.put(*IDS)
    return side


async def ask(side, deadline_s=10, **query):
    return await side.queries.run(Query("photos", **query), Deadline(deadline_s))


async def classify(side, **query):
    return await side.classifications.run(ClassifyQuery("photos", **query), Deadline(10))


def unit(name):
    vector = np.frombuffer(vector_from_bytes(name.encode(), DIM), "<f4").astype(np.float64)
    return vector / np.linalg.norm(vector)


@in_loop
async def test_a_text_finds_what_a_picture_of_it_finds():
    side = reader(3)
    by_text, by_picture = await ask(side, text="p/7"), await ask(side, image=b"p/7")
    assert by_text.hits == by_picture.hits
    assert by_text.hits[0].image_id == "p/7"
    assert by_text.space == "image"


@pytest.mark.parametrize("metric", Metric)
@in_loop
async def test_parts_are_weighed_as_vectors_of_length_one(metric):
    side = reader(2, metric)
    # Ten times as long a vector weighs no more.
    long = (10 * unit("p/3")).astype("<f4").tobytes()
    parts = (Part(image=b"p/1"), Part(image_id="p/2", weight=-0.5), Part(text="p/0", weight=2), Part(vector=long))
    answer = await ask(side, parts=parts, limit=40)
    total = unit("p/1") - 0.5 * unit("p/2") + 2 * unit("p/0") + unit("p/3")
    truth = await ask(side, vector=(total / np.linalg.norm(total)).astype("<f4").tobytes(), limit=40)
    assert [hit.image_id for hit in answer.hits] == [hit.image_id for hit in truth.hits]
    assert [hit.score for hit in answer.hits] == pytest.approx([hit.score for hit in truth.hits], abs=1e-5)


@in_loop
async def test_no_part_is_made_any_more_after_one_failed(monkeypatch):
    side, ended = reader(), asyncio.Event()

    async def hang(*_):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def busy(*_):
        raise EmbedderUnavailable("busy")

    monkeypatch.setattr(side.embedder, "embed_images", hang)
    monkeypatch.setattr(side.embedder, "embed_texts", busy)
    with pytest.raises(EmbedderUnavailable):
        await ask(side, parts=(Part(image=b"a"), Part(text="b")))
    await asyncio.sleep(0)
    assert ended.is_set()


@in_loop
async def test_the_heavier_part_wins():
    side = reader()
    for first, second, best in ((1, 0.1, "p/5"), (0.1, 1, "p/6"), (1, 0, "p/5")):
        parts = (Part(image=b"p/5", weight=first), Part(text="p/6", weight=second))
        assert (await ask(side, parts=parts)).hits[0].image_id == best


@in_loop
async def test_pictures_and_texts_of_a_combination_go_to_the_model_in_one_call_of_each_kind():
    side = reader()
    await ask(side, parts=(Part(image=b"p/1"), Part(text="p/2"), Part(image=b"p/3"), Part(text="p/4")))
    assert sorted(side.embedder.calls) == ["embed_images", "embed_texts"]
    side.embedder.calls.clear()
    await ask(side, parts=(Part(image_id="p/1"), Part(image_id="p/2")))
    assert side.embedder.calls == []


@pytest.mark.parametrize("weights", [(1, -1), (0.3, -0.3), (1000, -1000)])
@in_loop
async def test_parts_that_cancel_each_other_out_leave_nothing_to_search_for(weights):
    side = reader()
    first, second = weights
    with pytest.raises(InvalidRequest, match="cancel each other out") as caught:
        await ask(side, parts=(Part(text="p/1", weight=first), Part(image_id="p/1", weight=second)))
    assert caught.value.field == "combination.parts"


def test_a_sum_has_length_one():
    vectors = [vector_from_bytes(name, DIM) for name in (b"a", b"b")]
    for weights in ((1.0, 1.0), (1e-3, 2e-3), (900.0, -3.0)):
        assert np.linalg.norm(np.frombuffer(weighted_sum(vectors, weights), "<f4")) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("part", "error", "field"),
    [
        (Part(image=b"bad"), PictureNotRecognised, "combination.parts[1].image"),
        (Part(image_id="nothing"), ImageNotFound, "combination.parts[1].image_id"),
        (Part(vector=bytes(4 * DIM)), InvalidVector, "combination.parts[1].vector"),
        (Part(vector=b"1234"), InvalidVector, "combination.parts[1].vector"),
    ],
)
@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.EUCLIDEAN])
@in_loop
async def test_a_part_that_cannot_be_searched_by_is_named(part, error, field, metric):
    with pytest.raises(error) as caught:
        await ask(reader(metric=metric), parts=(Part(text="p/1"), part))
    assert caught.value.field == field


@in_loop
async def test_a_batch_of_texts_equals_its_queries_one_by_one():
    side = reader(3)
    names = tuple(IDS * 7)[:260]
    answer = await side.batches.run(BatchQuery("photos", texts=names, limit=3), Deadline(10))
    assert side.embedder.calls == ["embed_texts"] * 2
    for name, hits in zip(names[:3], answer.results, strict=False):
        alone = (await ask(side, text=name, limit=3)).hits
        assert (hits.image_ids, hits.scores) == ([hit.image_id for hit in alone], [hit.score for hit in alone])
    assert [hits.image_ids[0] for hits in answer.results] == list(names)


@in_loop
async def test_a_text_finds_objects_whose_crops_the_model_of_texts_embeds():
    side = ReadSide(2, takes_text=True, regions=RegionSettings("words", embedding=RegionEmbedding.CROP))
    side.put_words(street="car tree", yard="dog")
    found = await ask(side, text="tree", space="region")
    assert (found.hits[0].image_id, found.hits[0].ordinal) == ("street", 1)
    assert (await ask(side, text="car tree")).hits[0].image_id == "street"
    part = Part(text="dog", weight=2)
    assert (await ask(side, parts=(part, Part(text="car")), space="region")).hits[0].image_id == "yard"


@in_loop
async def test_objects_of_the_detectors_own_vectors_take_no_text():
    side = ReadSide(takes_text=True, regions=RegionSettings("words"))
    with pytest.raises(NoTextTower, match=r"space 'region' of photos takes pictures only.*in space 'image'"):
        await ask(side, text="tree", space="region")


def collection(*spaces):
    return Collection(1, "photos", spaces, 1, dt.datetime.now(dt.UTC))


ASKS_TEXT = {
    "a text": lambda space: plan_query(Query("photos", space, text="a"), collection(SEEING, READING)),
    "a part": lambda space: plan_query(
        Query("photos", space, parts=(Part(image=b"a"), Part(text="b"))), collection(SEEING, READING)
    ),
    "texts": lambda space: plan_batch(BatchQuery("photos", space, texts=("a",)), collection(SEEING, READING)),
    "labels": lambda space: plan_classification(
        ClassifyQuery("photos", ("cat",), space=space, images=(b"a",)), collection(SEEING, READING)
    ),
}


@pytest.mark.parametrize("what", ASKS_TEXT)
def test_texts_go_to_the_first_space_that_takes_them(what):
    assert ASKS_TEXT[what]("").space is READING
    assert ASKS_TEXT[what]("clip").space is READING
    with pytest.raises(NoTextTower, match="'image' of photos takes pictures only: search by text in space 'clip'"):
        ASKS_TEXT[what]("image")
    with pytest.raises(SpaceNotFound, match="it has image, clip"):
        ASKS_TEXT[what]("nowhere")


def test_what_has_no_text_in_it_goes_to_the_first_space():
    for query in (Query("photos", image=b"a"), Query("photos", parts=(Part(image=b"a"), Part(image_id="b")))):
        assert plan_query(query, collection(SEEING, READING)).space is SEEING


@in_loop
async def test_a_collection_of_pictures_only_says_what_would_take_texts():
    side = ReadSide()
    side.put("a")
    remedy = r"no space of photos takes texts \(its models: fake\): make a collection with .* open_clip:NAME/TAG"
    with pytest.raises(NoTextTower, match=remedy) as caught:
        await ask(side, text="a red car")
    assert caught.value.field == "text"
    with pytest.raises(NoTextTower, match=remedy):
        await ask(side, parts=(Part(image=b"a"), Part(text="a red car")))
    with pytest.raises(NoTextTower, match=remedy):
        await classify(side, labels=("cat",), images=(b"a",))
    assert side.embedder.calls == []


@in_loop
async def test_classes_travel_in_the_order_of_the_request():
    side = reader()
    service = SearchService(side.queries, side.batches, None, side.classifications, None)
    request = pb.ClassifyRequest(
        collection="photos", labels=["p/2", "p/1"], images=pb.Images(contents=[b"p/1"]), space="image"
    )
    answer = await service.Classify(request, Call())
    truth = await classify(side, labels=("p/2", "p/1"), images=(b"p/1",))
    assert answer.results[0].probabilities == pytest.approx(truth.results[0])
    assert (answer.exclusive, answer.space) == (True, "image")
    assert answer.timings.total > 0


@in_loop
async def test_templates_go_to_the_model_as_they_are(monkeypatch):
    side = reader()
    asked = []
    vectors = side.embedder.classify_vectors

    async def noted(model, digest, classes, *rest):
        asked.append(classes)
        return await vectors(model, digest, classes, *rest)

    monkeypatch.setattr(side.embedder, "classify_vectors", noted)
    request = pb.ClassifyRequest(
        collection="photos", labels=["p/1"], templates=["no {}"], image_ids=pb.ImageIds(ids=["p/1"])
    )
    await side.classifications.run(to_classify_query(request), Deadline(10))
    assert asked == [LabelTexts(("p/1",), ("no {}",))]


def test_a_weight_that_is_left_out_is_one():
    part = pb.Combination.Part
    request = pb.QueryRequest(
        combination=pb.Combination(parts=[part(text="a"), part(text="b", weight=0), part(text="c", weight=-2)])
    )
    assert [each.weight for each in to_query(request).parts] == [1, 0, -2]


@in_loop
async def test_pictures_are_classified_sent_or_stored():
    side = reader(3)
    labels = ("p/1", "p/2", "p/3")
    sent = await classify(side, labels=labels, images=(b"p/3", b"p/1"))
    stored = await classify(side, labels=labels, image_ids=("p/3", "p/1"))
    assert [np.argmax(each) for each in sent.results] == [2, 0]
    assert [np.argmax(each) for each in stored.results] == [2, 0]
    assert stored.results[0] == pytest.approx(sent.results[0], abs=1e-6)
    assert sum(sent.results[0]) == pytest.approx(1)
    assert (sent.exclusive, sent.space) == (True, "image")
    assert side.embedder.calls.count("embed_images") == 1


@in_loop
async def test_many_pictures_go_to_the_model_in_parts():
    side = reader()
    answer = await classify(side, labels=("p/1", "p/2"), images=(b"p/1", b"p/2") * 150)
    assert side.embedder.calls.count("embed_images") == 2
    assert [np.argmax(each) for each in answer.results] == [0, 1] * 150


@in_loop
async def test_a_picture_that_cannot_be_classified_is_named():
    side = reader()
    with pytest.raises(PictureNotRecognised, match="picture 299:") as caught:
        await classify(side, labels=("cat",), images=(*[b"good"] * 299, b"bad"))
    assert caught.value.field == "images.contents[299]"
    with pytest.raises(ImageNotFound, match="picture 1: photos holds no searchable image 'nothing'") as caught:
        await classify(side, labels=("cat",), image_ids=("p/1", "nothing"))
    assert caught.value.field == "image_ids.ids[1]"


@in_loop
async def test_stored_images_are_read_as_fresh_as_asked():
    side = reader()
    ahead = {"consistency": Consistency.SESSION, "token": SeqToken((ShardPosition(0, "memory", 99),))}
    query = ClassifyQuery("photos", ("cat",), image_ids=("p/1",))
    with pytest.raises(ShardUnavailable):
        await side.classifications.run(replace(query, **ahead), Deadline(0.2))
    assert len((await side.classifications.run(query, Deadline(10))).results) == 1
