"""Queries for whole scenes: every object by itself, and the pictures that hold all of them."""

import numpy as np
import pytest

from pixvec.catalogue.sharding import shard_of
from pixvec.domain import Box, Consistency, Region, RegionSettings, SeqToken, ShardPosition
from pixvec.errors import (
    DatabaseUnavailable,
    ImageNotFound,
    InvalidRequest,
    NoRegions,
    PictureNotRecognised,
    ShardUnavailable,
)
from pixvec.rpc.memory_embedder import vector_from_bytes
from pixvec.rpc.shard_search import RankedHits, RowScores
from services.gateway.joint_ranking import candidates, joint_ranking
from services.gateway.query import Deadline
from services.gateway.scene import SceneQuery
from services.gateway.scene_converters import to_scene_response
from tests.in_loop import in_loop
from tests.unit.gateway.reading import DIM, ReadSide

PICTURES = {"pets": "cat dog fish", "farm": "cow dog cat", "sky": "bird", "blank": "", "sea": "boat fish"}


def reader(shards=2, **settings):
    side = ReadSide(shards, regions=RegionSettings("words", **settings))
    side.put_words(**PICTURES)
    return side


async def ask(side, **query):
    return await side.scenes.run(SceneQuery("photos", **query), Deadline(10))


def unit(word):
    vector = np.frombuffer(vector_from_bytes(word.encode(), DIM), "<f4").astype(float)
    return vector / np.linalg.norm(vector)


def joint_truth(words):
    """Return each picture's mean, over the words of the query, of its best word for it."""
    means = {
        image_id: np.mean([max(unit(own) @ unit(word) for own in held.split()) for word in words])
        for image_id, held in PICTURES.items()
        if held
    }
    return sorted(means.items(), key=lambda each: (-round(each[1], 6), each[0]))


@pytest.mark.parametrize("shards", [1, 3])
@in_loop
async def test_each_object_has_hits_of_its_own_and_pictures_are_ranked_by_all(shards):
    answer = await ask(reader(shards), image=b"dog fish", limit=4)
    dogs, fishes = answer.hits
    assert [(hit.image_id, hit.ordinal) for hit in dogs[:2]] == [("farm", 1), ("pets", 1)]
    assert [(hit.image_id, hit.ordinal) for hit in fishes[:2]] == [("pets", 2), ("sea", 1)]
    truth = joint_truth(["dog", "fish"])
    assert [hit.image_id for hit in answer.pictures] == [image_id for image_id, _ in truth]
    assert [hit.score for hit in answer.pictures] == pytest.approx([mean for _, mean in truth], abs=1e-5)
    first = answer.pictures[0]
    assert (first.image_id, first.objects.ordinals) == ("pets", [1, 2])
    assert first.objects.scores == pytest.approx([1, 1], abs=1e-5)
    assert [region.class_name for region in answer.objects.regions] == ["dog", "fish"]
    assert (answer.objects.width, answer.objects.height, answer.objects.found) == (20, 8, 2)
    assert (answer.shards_total, answer.shards_answered, answer.space) == (shards, shards, "region")


@in_loop
async def test_a_picture_that_is_low_for_one_object_is_scored_for_it_all_the_same(monkeypatch):
    monkeypatch.setattr("services.gateway.scenes._LEAST_DEPTH", 1)
    answer = await ask(reader(3), image=b"cow boat", limit=2)
    assert [len(hits) for hits in answer.hits] == [2, 2]
    truth = dict(joint_truth(["cow", "boat"]))
    for hit in answer.pictures:
        assert hit.score == pytest.approx(truth[hit.image_id], abs=1e-5)
        assert len(hit.objects.scores) == 2


@in_loop
async def test_the_objects_of_an_image_are_those_it_was_indexed_with():
    side = reader()
    answer = await ask(side, image_id="pets", min_score=0.99)
    assert [region.class_name for region in answer.objects.regions] == ["cat", "dog", "fish"]
    assert (answer.objects.width, answer.objects.height) == (30, 8)
    assert [[hit.image_id for hit in hits] for hits in answer.hits] == [["farm", "pets"]] * 2 + [["pets", "sea"]]
    assert [hit.image_id for hit in answer.pictures] == ["pets"]
    assert side.embedder.calls == []


@pytest.mark.parametrize("query", [{"image": b" "}, {"image_id": "blank"}])
@in_loop
async def test_a_picture_without_any_object_has_an_empty_answer(query):
    response = to_scene_response(await ask(reader(), attributes=True, regions=True, **query))
    assert (len(response.objects), len(response.pictures), response.objects_found) == (0, 0, 0)
    assert response.coverage.shards_answered == response.coverage.shards_total == 2
    assert response.space == "region"


@in_loop
async def test_a_thousand_objects_are_searched_for_as_far_as_asked():
    side = reader(max_regions=1000)
    words = " ".join(f"thing{number}" for number in range(1000)).encode()
    answer = await ask(side, image=words, max_objects=3, limit=1)
    assert (answer.objects.found, len(answer.objects.regions), len(answer.hits)) == (1000, 3, 3)
    assert len(answer.pictures[0].objects.scores) == 3


@in_loop
async def test_a_picture_without_one_of_the_objects_is_left_out_by_a_threshold():
    answer = await ask(reader(), image=b"cat dog", min_score=0.99)
    assert [hit.image_id for hit in answer.pictures] == ["farm", "pets"]
    assert (await ask(reader(), image=b"cat boat", min_score=0.99)).pictures == []


@in_loop
async def test_an_empty_collection_has_objects_without_hits():
    side = ReadSide(2, regions=RegionSettings("words"))
    answer = await ask(side, image=b"cat dog")
    assert (answer.hits, answer.pictures, answer.objects.found) == ([[], []], [], 2)


@in_loop
async def test_what_is_known_of_regions_and_pictures_comes_along_when_asked():
    side = reader()
    answer = await ask(side, image_id="pets", attributes=True, regions=True, masks=True, limit=3)
    response = to_scene_response(answer)
    assert [each.region.region_id for each in response.objects] == ["pets#0", "pets#1", "pets#2"]
    (hit,) = [hit for hit in response.objects[1].hits if hit.image_id == "farm"]
    assert (hit.region.class_name, hit.region.box.x1, list(hit.region.mask.counts)) == ("dog", 10, [0, 8])
    assert hit.attributes["words"].int_value == 3
    best = response.pictures[0]
    assert best.attributes["words"].int_value == 3
    assert [match.region.class_name for match in best.objects] == ["cat", "dog", "fish"]
    bare = to_scene_response(await ask(side, image=b"cat", limit=1))
    assert bare.objects[0].region.region_id == ""
    assert bare.objects[0].region.box.x2 == 8
    assert not bare.objects[0].hits[0].region.HasField("box")


@in_loop
async def test_what_an_answer_repeats_counts_as_often_as_it_does(monkeypatch):
    side = ReadSide(2, regions=RegionSettings("words"))
    side.put_words(**{f"image-{number}": "cat dog" for number in range(20)})
    query = {"image": b"cat dog cat dog", "limit": 20}
    # Forty regions once each are less.
    monkeypatch.setattr("services.gateway.hydration.MAX_BYTES", 6000)
    for wanted in ({"regions": True, "masks": True}, {"attributes": True, "regions": True}):
        with pytest.raises(InvalidRequest, match="lower limit or max_objects, or ask without attributes") as caught:
            await ask(side, **query, **wanted)
        assert caught.value.field == "limit"
    assert len((await ask(side, **query)).pictures) == 20
    assert len((await ask(side, **query | {"limit": 2}, regions=True, masks=True)).pictures) == 2


@in_loop
async def test_scenes_are_searched_without_the_metadata_store(monkeypatch):
    side = reader()
    await side.directory.collection("photos")

    def down(*_, **__):
        raise DatabaseUnavailable("down")

    for method in ("get", "regions", "regions_at", "attributes"):
        monkeypatch.setattr(side.catalogue.images, method, down)
    response = to_scene_response(await ask(side, image_id="pets", attributes=True, regions=True))
    assert (response.attributes_missing, response.regions_missing, response.width) == (True, True, 0)
    assert [each.region.region_id for each in response.objects] == ["pets#0", "pets#1", "pets#2"]
    assert not response.objects[0].region.HasField("box")
    assert response.pictures[0].image_id == "pets"


@in_loop
async def test_a_detector_score_of_0_is_one(monkeypatch):
    side = reader()
    regions = [Region(n, Box(10 * n, 0, 10 * n + 8, 8), word, 0.0) for n, word in enumerate(["cat", "dog", "fish"])]
    monkeypatch.setattr(side.catalogue.images, "regions", lambda *_: regions)
    response = to_scene_response(await ask(side, image_id="pets", regions=True))
    assert [each.region.box.x2 for each in response.objects] == [8, 18, 28]
    assert not response.regions_missing


@in_loop
async def test_objects_whose_places_cannot_be_read_are_said_to_be_missing(monkeypatch):
    side = reader()
    some = side.catalogue.images.regions(side.collection.collection_id, "pets")[:2]
    monkeypatch.setattr(side.catalogue.images, "regions", lambda *_: some)
    response = to_scene_response(await ask(side, image_id="pets", regions=True))
    assert response.regions_missing
    assert [each.region.ordinal for each in response.objects] == [0, 1, 2]
    assert not any(each.region.HasField("box") or each.region.class_name for each in response.objects)
    assert not to_scene_response(await ask(side, image_id="pets")).regions_missing


@in_loop
async def test_shards_that_do_not_answer_are_left_out():
    side = ReadSide(2, 2, regions=RegionSettings("words"))
    side.put_words(**{f"image-{number}": "cat dog" for number in range(20)})
    side.split()
    await ask(side, image=b"cat")
    side.searchers.down.add("searcher-1")
    answer = await ask(side, image=b"cat dog", limit=20)
    assert (answer.shards_total, answer.shards_answered) == (2, 1)
    assert 0 < len(answer.pictures) == len(answer.hits[0]) < 20


@pytest.mark.parametrize("silent", [{"searcher-1"}, {"searcher-0", "searcher-1"}])
@in_loop
async def test_shards_that_do_not_score_are_missing_and_do_not_fail_a_finished_search(monkeypatch, silent):
    side = ReadSide(2, 2, regions=RegionSettings("words"))
    side.put_words(**{f"image-{number}": "cat dog" for number in range(20)})
    side.split()
    score = side.searchers.score

    async def some(address, wanted, timeout_s):
        if address in silent:
            raise ShardUnavailable("busy")
        return await score(address, wanted, timeout_s)

    monkeypatch.setattr(side.searchers, "score", some)
    answer = await ask(side, image=b"cat dog", limit=20)
    assert answer.shards_answered == 2 - len(silent)
    assert [len(hits) for hits in answer.hits] == [20, 20]
    assert {shard_of(hit.image_id, 2) for hit in answer.pictures} == {0, 1} - {int(each[-1]) for each in silent}
    token = SeqToken((ShardPosition(0, "memory", 1), ShardPosition(1, "memory", 1)))
    session = SceneQuery("photos", image=b"cat dog", consistency=Consistency.SESSION, token=token)
    with pytest.raises(ShardUnavailable):
        await side.scenes.run(session, Deadline(0.3))


@pytest.mark.parametrize(
    ("query", "error", "field"),
    [
        ({"image": b"bad one"}, PictureNotRecognised, "image"),
        ({"image_id": "gone"}, ImageNotFound, "image_id"),
    ],
)
@in_loop
async def test_what_is_no_picture_is_refused(query, error, field):
    with pytest.raises(error) as caught:
        await ask(reader(), **query)
    assert caught.value.field == field
    assert error is not ImageNotFound or "by its original, see `duplicate_of`" in caught.value.message


@in_loop
async def test_a_collection_that_finds_no_objects_is_refused():
    side = ReadSide()
    side.put("a")
    with pytest.raises(NoRegions, match="make a collection with `regions`"):
        await ask(side, image=b"a")


@in_loop
async def test_no_shard_at_all_is_an_error():
    side = reader()
    side.searchers.down.add("searcher-0")
    with pytest.raises(ShardUnavailable):
        await ask(side, image=b"cat")


def test_of_too_many_candidates_those_that_can_score_most_are_taken(monkeypatch):
    monkeypatch.setattr("services.gateway.joint_ranking._LEAST_CANDIDATES", 2)
    monkeypatch.setattr("services.gateway.joint_ranking._CANDIDATES_A_HIT", 1)
    first = RankedHits(["a", "b", "c"], [0.9, 0.8, 0.7])
    second = RankedHits(["d", "c", "b"], [0.9, 0.8, 0.3])
    # At most: a 1.2, b 1.1, c 1.5, d 1.6.
    assert candidates([first, second], 1) == ("d", "c")
    assert candidates([first, second], 4) == ("d", "c", "a", "b")
    assert candidates([RankedHits([], []), RankedHits([], [])], 1) == ()


def test_pictures_are_ranked_by_their_means_and_equal_ones_by_id():
    scored = {
        "b": RowScores([0.5, 0.5], [0, 1]),
        "a": RowScores([0.9, 0.1], [0, 0]),
        "c": RowScores([1.0, 0.5], [2, 3]),
    }
    assert [(hit.image_id, hit.score) for hit in joint_ranking(scored, 10, None)] == [
        ("c", 0.75),
        ("a", 0.5),
        ("b", 0.5),
    ]
    assert [hit.image_id for hit in joint_ranking(scored, 10, 0.5)] == ["c", "b"]
    assert [hit.image_id for hit in joint_ranking(scored, 1, None)] == ["c"]
