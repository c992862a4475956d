"""Searches for parts of pictures and for scenes, as the SDK asks for them. Each word of a picture is an object."""

import asyncio
import struct

import pytest

from pixvec.api.v1.common_pb2 import SearchParams
from pixvec.client import AsyncClient, BatchHits, FoundRegion
from pixvec.client.testing.store import embed
from pixvec.domain import Box, Mask
from pixvec.errors import ImageNotFound, InvalidRequest, NoRegions, RegionNotFound

PICTURES = [("farm", b"cow dog cat"), ("pets", b"cat dog fish"), ("sea", b"boat fish"), ("sky", b"bird")]


@pytest.fixture
def stored(client):
    client.create_collection("scenes", regions="words")
    for name in ("scenes", "photos"):
        client.ingest(name, PICTURES, attributes=lambda image_id: {"name": image_id}).wait()
    return client


def places(hits):
    return [(hit.image_id, hit.region.ordinal) for hit in hits]


def test_a_region_finds_others_like_it(stored):
    found = stored.search("scenes", region_id="pets#1", min_score=0.99)
    assert places(found) == [("farm", 1), ("pets", 1)]
    assert found.space == "region"
    assert found[0].region == FoundRegion("farm#1", 1)


def test_where_hits_are_is_told_when_asked_for(stored, server):
    (hit,) = stored.search("scenes", region_id="sky#0", limit=1, regions=True, attributes=True)
    assert hit.region == FoundRegion("sky#0", 0, Box(0, 0, 8, 8), "bird", pytest.approx(0.9), None)
    assert hit.attributes == {"name": "sky"}
    (masked,) = stored.search("scenes", region_id="sky#0", limit=1, masks=True)
    assert masked.region.mask == Mask(10, 8, (0, 8))
    assert masked.region.box == Box(0, 0, 8, 8)
    plain = stored.search("photos", image=b"bird", limit=1)
    assert plain[0].region is None
    assert not server.called("Query")[-1].HasField("include")


@pytest.mark.parametrize("box", [(10, 0, 18, 8), [10.0, 0.0, 18.0, 8.0], Box(10, 0, 18, 8)])
def test_a_box_is_drawn_on_a_picture(stored, server, box, tmp_path):
    (tmp_path / "query.jpg").write_bytes(b"lamp fish")
    assert places(stored.search("scenes", image=tmp_path / "query.jpg", box=box, min_score=0.99)) == [
        ("pets", 2),
        ("sea", 1),
    ]
    query = server.called("Query")[-1]
    assert (query.box.x1, query.box.y1, query.box.x2, query.box.y2) == (10, 0, 18, 8)
    assert places(stored.search("scenes", image_id="sea", box=box, limit=1)) == [("pets", 2)]


@pytest.mark.parametrize("box", [(1, 2, 3), "1,2,3,4", 5, (1, 2, 3, "far"), (1, 2, 3, 4, 5), (1, 2, 3, None)])
def test_what_is_no_box_is_refused(client, box):
    with pytest.raises(InvalidRequest, match="box must be") as caught:
        client.search("photos", image=b"a", box=box)
    assert caught.value.field == "box"


def test_a_box_needs_a_picture(client):
    with pytest.raises(InvalidRequest, match="the picture that it is drawn on"):
        client.search("photos", region_id="a#0", box=(0, 0, 1, 1))


def test_a_region_is_one_way_to_search(client):
    with pytest.raises(InvalidRequest, match="exactly one of image, image_id, region_id, text, vector and combine"):
        client.search("photos", image=b"a", region_id="a#0")


def test_what_is_not_there_is_told(stored):
    with pytest.raises(RegionNotFound):
        stored.search("scenes", region_id="sky#1")
    with pytest.raises(NoRegions):
        stored.search("photos", region_id="sky#0")
    with pytest.raises(NoRegions):
        stored.search_scene("photos", image_id="sky")
    with pytest.raises(ImageNotFound):
        stored.search_scene("scenes", image_id="gone")


def test_a_batch_says_which_region_each_hit_is(stored):
    (plain,) = stored.search_batch("scenes", vectors=[struct.pack("<8f", *embed(b"fish"))], limit=1)
    assert plain[0].region is None
    hits = BatchHits(("a", "b"), (0.5, 0.4), (3, 0))
    assert [hit.region for hit in hits] == [FoundRegion("a#3", 3), FoundRegion("b#0", 0)]
    assert list(hits[1:]) == [hits[1]]


def test_a_scene_has_hits_for_each_object_and_pictures_that_hold_all(stored):
    scene = stored.search_scene("scenes", image=b"dog fish", limit=2, attributes=True)
    assert [each.region.class_name for each in scene] == ["dog", "fish"]
    assert scene[0].region.region_id == ""
    assert [places(each.hits) for each in scene] == [[("farm", 1), ("pets", 1)], [("pets", 2), ("sea", 1)]]
    assert (len(scene), scene.objects_found, scene.width, scene.height) == (2, 2, 20, 8)
    best = scene.pictures[0]
    assert (best.image_id, best.attributes) == ("pets", {"name": "pets"})
    assert best.score == pytest.approx(1)
    assert [match.region.region_id for match in best.objects] == ["pets#1", "pets#2"]
    assert best.objects[1].region.box == Box(20, 0, 28, 8)
    assert len(scene.pictures) == 2
    assert scene.coverage.complete


def test_what_is_asked_of_a_scene_is_sent(stored, server):
    stored.search_scene(
        "scenes", image_id="pets", max_objects=2, limit=7, min_score=0.25, regions=False, exact=True, rescore=3
    )
    request = server.called("QueryScene")[-1]
    assert (request.image_id, request.max_objects, request.limit, request.min_score) == ("pets", 2, 7, 0.25)
    assert request.params == SearchParams(exact=True, rescore=3)
    assert request.consistency == 2
    assert not request.HasField("include")
    stored.search_scene("scenes", image=b"cat", masks=True)
    assert server.called("QueryScene")[-1].include.masks


def test_a_picture_without_any_object_has_an_empty_scene(stored):
    scene = stored.search_scene("scenes", image=b" ")
    assert (list(scene), scene.pictures, scene.objects_found) == ([], (), 0)


@pytest.mark.parametrize("given", [{}, {"image": b"a", "image_id": "b"}])
def test_a_scene_is_of_one_picture(client, given):
    with pytest.raises(InvalidRequest, match="exactly one of image and image_id"):
        client.search_scene("photos", **given)


def test_it_is_the_same_with_an_event_loop(stored, server, tmp_path):
    (tmp_path / "query.jpg").write_bytes(b"dog fish")

    async def search():
        async with AsyncClient(server.address) as client:
            boxed = await client.search("scenes", image=tmp_path / "query.jpg", box=(10, 0, 18, 8), regions=True)
            by_region = await client.search("scenes", region_id="pets#1", masks=True)
            scene = await client.search_scene("scenes", image=tmp_path / "query.jpg", limit=3)
            return boxed.hits, by_region.hits, (scene.objects, scene.pictures)

    assert asyncio.run(search()) == (
        stored.search("scenes", image=b"dog fish", box=(10, 0, 18, 8), regions=True).hits,
        stored.search("scenes", region_id="pets#1", masks=True).hits,
        (
            (same := stored.search_scene("scenes", image=b"dog fish", limit=3)).objects,
            same.pictures,
        ),
    )
