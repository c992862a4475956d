"""Queries of whole pictures and of their objects at once."""

import pytest

from pixvec.domain import RegionEmbedding, RegionSettings
from pixvec.errors import DatabaseUnavailable, InvalidRequest, NoTextTower
from pixvec.fusion import FusionMethod
from services.gateway.query import Part
from services.gateway.query_converters import to_query_response
from tests.in_loop import in_loop
from tests.unit.gateway.fusing import ask, fuse
from tests.unit.gateway.reading import ReadSide

PICTURES = {"pets": "cat dog fish", "farm": "cow dog cat", "sky": "bird", "blank": "", "sea": "boat fish"}


def scenes(embedding, takes_text=False):
    side = ReadSide(2, takes_text=takes_text, regions=RegionSettings("words", embedding))
    side.put_words(**PICTURES)
    return side


@pytest.mark.parametrize("method", FusionMethod)
@pytest.mark.parametrize("embedding", RegionEmbedding)
@in_loop
async def test_a_picture_is_as_good_as_its_best_object(embedding, method):
    side = scenes(embedding)
    query = {"image": b"fish", "fusion": fuse({"image": 1, "region": 1}, method)}
    answer = await ask(side, limit=10, regions=True, attributes=True, **query)
    response = to_query_response(answer)
    hits = {hit.image_id: hit for hit in response.hits}
    assert set(hits) == set(PICTURES)
    assert hits["pets"].region.region_id == "pets#2"
    assert hits["sea"].region.class_name == "fish"
    assert hits["sea"].scores["region"] == pytest.approx(1, abs=1e-5)
    assert hits["sea"].attributes["words"].int_value == 2
    assert dict(hits["blank"].scores) == {"image": pytest.approx(answer.scores["blank"]["image"])}
    assert not hits["blank"].HasField("region")
    least = await ask(side, image=b"fish", limit=10, fusion=fuse({"image": 1, "region": 1}, method, region=0.99))
    assert {hit.image_id for hit in least.hits} == {"pets", "sea"}


@in_loop
async def test_an_image_is_compared_with_objects_by_its_pixels_or_by_its_vector():
    crops = scenes(RegionEmbedding.CROP)
    answer = await ask(crops, image_id="sky", fusion=fuse({"image": 1, "region": 1}))
    assert answer.scores["sky"] == pytest.approx({"image": 1, "region": 1}, abs=1e-5)
    assert crops.embedder.calls == []
    heads = scenes(RegionEmbedding.ROI)
    answer = await ask(heads, image_id="sky", fusion=fuse({"image": 1, "region": 1}))
    assert answer.scores["sky"] == pytest.approx({"image": 1, "region": 1}, abs=1e-5)
    assert heads.embedder.calls == ["detect_regions"]


@in_loop
async def test_texts_find_crops_and_no_boxes():
    crops = scenes(RegionEmbedding.CROP, takes_text=True)
    answer = await ask(crops, text="fish", fusion=fuse({"image": 1, "region": 3}, FusionMethod.WEIGHTED, region=0.99))
    assert {hit.image_id for hit in answer.hits} == {"pets", "sea"}
    heads = scenes(RegionEmbedding.ROI, takes_text=True)
    with pytest.raises(NoTextTower, match="'region' of photos takes pictures only"):
        await ask(heads, text="fish", fusion=fuse({"image": 1, "region": 1}))
    with pytest.raises(InvalidRequest, match="holds objects"):
        await ask(heads, parts=(Part(image=b"cat"),), fusion=fuse({"region": 1}))


@in_loop
async def test_it_goes_on_without_the_metadata_store(monkeypatch):
    side = scenes(RegionEmbedding.CROP)
    await side.directory.collection("photos")

    def down(*_, **__):
        raise DatabaseUnavailable("down")

    for method in ("regions_at", "attributes"):
        monkeypatch.setattr(side.catalogue.images, method, down)
    answer = await ask(side, image=b"fish", fusion=fuse({"image": 1, "region": 1}), attributes=True, regions=True)
    response = to_query_response(answer)
    assert (response.attributes_missing, response.regions_missing) == (True, True)
    assert {hit.image_id: hit.region.region_id for hit in response.hits}["sea"] == "sea#1"
