"""Queries for parts of pictures, and what hits tell of their regions. Each word of a picture is an object."""

import numpy as np
import pytest

from pixvec.domain import Box, Consistency, RegionSettings, SeqToken, ShardPosition
from pixvec.errors import (
    BoxOutside,
    DatabaseUnavailable,
    ImageNotFound,
    InvalidRequest,
    NoRegions,
    Overloaded,
    PictureNotRecognised,
    RegionNotFound,
    ShardUnavailable,
)
from pixvec.rpc.memory_embedder import vector_from_bytes
from services.gateway.query import BatchQuery, Deadline, Part, Query
from services.gateway.query_converters import to_query_response
from tests.in_loop import in_loop
from tests.unit.gateway.reading import DIM, ReadSide

PICTURES = {"pets": "cat dog fish", "farm": "cow dog", "sky": "bird", "blank": "", "sea": "boat fish"}


def reader(shards=2, **settings):
    side = ReadSide(shards, regions=RegionSettings("words", **settings))
    side.put_words(**PICTURES)
    return side


async def ask(side, **query):
    return await side.queries.run(Query("photos", **query), Deadline(10))


def found(answer):
    return [(hit.image_id, hit.ordinal) for hit in answer.hits]


@in_loop
async def test_a_region_finds_others_like_it_and_itself():
    answer = await ask(reader(), region_id="pets#1", min_score=0.99)
    assert found(answer) == [("farm", 1), ("pets", 1)]
    assert (answer.space, answer.of_regions, answer.regions) == ("region", True, None)


@pytest.mark.parametrize("query", [{"image": b"lamp fish"}, {"image_id": "sea"}])
@in_loop
async def test_a_drawn_box_is_searched_for_in_the_space_of_regions(query):
    answer = await ask(reader(), box=Box(10, 0, 18, 8), min_score=0.99, **query)
    assert found(answer) == [("pets", 2), ("sea", 1)]
    assert answer.space == "region"


@pytest.mark.parametrize("query", [{"image": b"lamp bird"}, {"image_id": "beach"}])
@in_loop
async def test_a_drawn_box_is_cut_out_for_a_space_of_whole_pictures(query):
    side = reader()
    side.put_words(beach="sand bird")
    answer = await ask(side, box=Box(10, 0, 18, 8), space="image", min_score=0.99, **query)
    assert found(answer) == [("sky", 0)]
    assert answer.of_regions is False


@in_loop
async def test_a_box_without_a_space_of_regions_is_cut_out():
    side = ReadSide()
    side.put("bird", "cow")
    answer = await ask(side, image=b"lamp bird", box=Box(10, 0, 18, 8), min_score=0.99)
    assert found(answer) == [("bird", 0)]
    assert answer.space == "image"


@in_loop
async def test_hits_tell_where_their_regions_are_when_asked():
    side = reader()
    query = {"region_id": "pets#2", "min_score": 0.99, "attributes": True}
    answer = await ask(side, regions=True, **query)
    first, second = to_query_response(answer).hits
    assert (first.region.region_id, second.region.region_id) == ("pets#2", "sea#1")
    assert (first.region.box.x1, first.region.box.x2, first.region.class_name) == (20, 28, "fish")
    assert not first.region.HasField("mask")
    assert first.attributes["words"].int_value == 3
    masked = await ask(side, regions=True, masks=True, **query)
    assert list(to_query_response(masked).hits[0].region.mask.counts) == [0, 8]
    bare = to_query_response(await ask(side, region_id="pets#2", masks=True)).hits[0].region
    assert (bare.region_id, bare.ordinal, bare.HasField("box")) == ("pets#2", 2, False)


@in_loop
async def test_hits_of_whole_pictures_have_no_region():
    answer = await ask(reader(), image=b"bird", regions=True, masks=True)
    assert (answer.regions, answer.regions_missing) == (None, False)
    assert not any(hit.HasField("region") for hit in to_query_response(answer).hits)


@pytest.mark.parametrize("error", [DatabaseUnavailable("down"), Overloaded("too many")])
@in_loop
async def test_regions_that_cannot_be_read_are_said_to_be_missing(monkeypatch, error):
    side = reader()

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(side.catalogue.images, "regions_at", fail)
    response = to_query_response(await ask(side, region_id="sky#0", regions=True))
    assert response.regions_missing
    assert (response.hits[0].image_id, response.hits[0].region.region_id) == ("sky", "sky#0")


@in_loop
async def test_more_masks_than_an_answer_carries_are_refused(monkeypatch):
    monkeypatch.setattr("services.gateway.hydration.MAX_BYTES", 300)
    side = reader()
    with pytest.raises(InvalidRequest, match="masks of 4 regions take more"):
        await ask(side, region_id="sky#0", regions=True, masks=True)
    assert len((await ask(side, region_id="sky#0", regions=True, limit=2)).hits) == 2


@in_loop
async def test_attributes_and_masks_share_what_an_answer_carries(monkeypatch):
    side = reader()
    plenty = {image_id: {"text": "x" * 300} for image_id in PICTURES}
    monkeypatch.setattr(side.catalogue.images, "attributes", lambda _, ids: {each: plenty[each] for each in ids})
    monkeypatch.setattr("services.gateway.hydration.MAX_BYTES", 1500)
    query = {"region_id": "sky#0", "regions": True, "masks": True}
    assert len((await ask(side, **query)).hits) == 4
    assert len((await ask(side, region_id="sky#0", attributes=True)).hits) == 4
    with pytest.raises(InvalidRequest, match="lower limit, or ask without attributes or masks") as caught:
        await ask(side, **query, attributes=True)
    assert caught.value.field == "limit"


@pytest.mark.parametrize("region_id", ["pets#3", "pets#99", "gone#0", "blank#0"])
@in_loop
async def test_a_region_that_is_not_there(region_id):
    with pytest.raises(RegionNotFound, match=region_id) as caught:
        await ask(reader(), region_id=region_id)
    assert caught.value.field == "region_id"


@pytest.mark.parametrize("region_id", ["pets", "pets#", "#1", "pets#one", "pets#-1", f"pets#{2**32}", "pets#²"])
@in_loop
async def test_a_name_that_no_region_has(region_id):
    with pytest.raises(InvalidRequest, match="is no region") as caught:
        await ask(reader(), region_id=region_id)
    assert caught.value.field == "region_id"


@in_loop
async def test_an_image_id_may_have_the_sign_in_it():
    side = reader()
    side.put_words(**{"a#1": "lamp owl"})
    assert found(await ask(side, region_id="a#1#1", limit=1)) == [("a#1", 1)]


@pytest.mark.parametrize("space", ["region", "image"])
@in_loop
async def test_a_box_outside_the_picture_is_refused(space):
    with pytest.raises(BoxOutside, match="outside the picture") as caught:
        await ask(reader(), image=b"cat dog", box=Box(50, 0, 60, 8), space=space)
    assert caught.value.field == "box"


@pytest.mark.parametrize("space", ["region", "image"])
@in_loop
async def test_a_box_on_what_is_no_picture_is_refused(space):
    with pytest.raises(PictureNotRecognised) as caught:
        await ask(reader(), image=b"bad one", box=Box(0, 0, 9, 8), space=space)
    assert caught.value.field == "image"


@in_loop
async def test_a_box_on_an_image_that_is_not_there():
    with pytest.raises(ImageNotFound):
        await ask(reader(), image_id="gone", box=Box(0, 0, 9, 8))


@in_loop
async def test_a_region_of_a_collection_that_finds_none():
    side = ReadSide()
    side.put("a")
    with pytest.raises(NoRegions, match="make a collection with `regions`"):
        await ask(side, region_id="a#0")


@in_loop
async def test_a_region_in_a_space_of_whole_pictures():
    with pytest.raises(InvalidRequest, match="search by a region in space 'region'") as caught:
        await ask(reader(), region_id="pets#0", space="image")
    assert caught.value.field == "space"


@pytest.mark.parametrize("query", [{"image": b"cat"}, {"image_id": "pets"}, {"parts": (Part(image=b"cat"),)}])
@in_loop
async def test_a_whole_picture_in_the_space_of_regions_is_refused_and_what_to_do_is_said(query):
    with pytest.raises(InvalidRequest, match="QueryScene"):
        await ask(reader(), space="region", **query)


@in_loop
async def test_a_batch_of_whole_pictures_in_the_space_of_regions_is_refused():
    side = reader()
    with pytest.raises(InvalidRequest, match="QueryScene"):
        await side.batches.run(BatchQuery("photos", "region", image_ids=("pets",)), Deadline(10))
    vectors = vector_from_bytes(b"fish", DIM) + vector_from_bytes(b"cow", DIM)
    answer = await side.batches.run(BatchQuery("photos", "region", vectors=vectors, dim=DIM, limit=1), Deadline(10))
    assert [(hits.image_ids, hits.ordinals or [0]) for hits in answer.results] == [(["pets"], [2]), (["farm"], [0])]


@in_loop
async def test_a_vector_may_be_searched_for_among_regions():
    answer = await ask(reader(), vector=vector_from_bytes(b"boat", DIM), space="region", limit=1)
    assert found(answer) == [("sea", 0)]


@in_loop
async def test_a_region_just_written_is_waited_for():
    side = reader(1)
    ahead = {"consistency": Consistency.SESSION, "token": SeqToken((ShardPosition(0, "memory", 99),))}
    with pytest.raises(ShardUnavailable):
        await side.queries.run(Query("photos", region_id="sky#0", **ahead), Deadline(0.2))


@in_loop
async def test_pages_of_regions_are_the_sorted_truth():
    side = reader(3)
    rows = {
        (image_id, n): np.frombuffer(vector_from_bytes(word.encode(), DIM), "<f4").astype(float)
        for image_id, words in PICTURES.items()
        for n, word in enumerate(words.split())
    }
    query = np.frombuffer(vector_from_bytes(b"anything", DIM), "<f4").astype(float)
    cosine = {place: row @ query / np.linalg.norm(row) / np.linalg.norm(query) for place, row in rows.items()}
    best = {image_id: max((place for place in cosine if place[0] == image_id), key=cosine.get) for image_id, _ in rows}
    truth = sorted(best.values(), key=lambda place: (-round(cosine[place], 6), place[0]))
    paged = [
        await ask(side, vector=vector_from_bytes(b"anything", DIM), space="region", limit=2, offset=offset)
        for offset in (0, 2)
    ]
    assert [place for page in paged for place in found(page)] == truth
