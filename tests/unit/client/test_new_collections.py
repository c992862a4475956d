"""Collections of several spaces and of regions, as the SDK asks for them and tells of them."""

import pytest

from pixvec.client import (
    AsyncClient,
    Box,
    FoundRegion,
    ImageInfo,
    IndexKind,
    RegionEmbedding,
    RegionSettings,
    SpaceSettings,
)
from pixvec.domain import Mask, Metric, SpaceKind
from pixvec.errors import InvalidRequest
from tests.in_loop import in_loop

SETTINGS = RegionSettings("words", RegionEmbedding.CROP, class_agnostic=True, min_score=0.3, max_regions=7)


def test_spaces_and_regions_are_asked_for_and_told(client):
    spaces = {"colour": "hsv", "deep": SpaceSettings("timm:x", Metric.EUCLIDEAN, IndexKind.HNSW)}
    made = client.create_collection("scenes", "fake", regions=SETTINGS, spaces=spaces)
    assert [(each.name, each.model, each.metric, each.kind) for each in made.spaces] == [
        ("image", "fake", Metric.COSINE, SpaceKind.IMAGE),
        ("colour", "hsv", Metric.COSINE, SpaceKind.IMAGE),
        ("deep", "timm:x", Metric.EUCLIDEAN, SpaceKind.IMAGE),
        ("region", "words", Metric.COSINE, SpaceKind.REGION),
    ]
    assert made.spaces[2].index.kind is IndexKind.HNSW
    assert made.spaces[3].regions == SETTINGS
    assert client.get_collection("scenes").spaces == made.spaces


def test_a_detectors_name_stands_for_its_defaults(client):
    made = client.create_collection("scenes", regions="words")
    assert made.spaces[1].regions == RegionSettings("words")


def test_an_image_tells_its_regions_when_asked_for(client):
    client.create_collection("scenes", regions="words")
    client.ingest("scenes", [("a#1", b"cat dog")]).wait()
    found = client.get_image("scenes", "a#1", regions=True)
    assert isinstance(found, ImageInfo)
    mask = Mask(20, 8, (0, 8))
    assert found.regions == (
        FoundRegion("a#1#0", 0, Box(0, 0, 8, 8), "cat", pytest.approx(0.9), mask),
        FoundRegion("a#1#1", 1, Box(10, 0, 18, 8), "dog", pytest.approx(0.9), mask),
    )
    assert client.get_image("scenes", "a#1").regions == ()


@in_loop
async def test_the_same_with_an_event_loop(client, server):
    async with AsyncClient(server.address) as other:
        made = await other.create_collection("scenes", regions="words", spaces={"colour": "hsv"})
        assert [each.name for each in made.spaces] == ["image", "colour", "region"]
        client.ingest("scenes", [("a", b"cat")]).wait()
        (region,) = (await other.get_image("scenes", "a", regions=True)).regions
        assert region.class_name == "cat"


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("regions", {"regions": 5}),
        ("regions.detector", {"regions": RegionSettings(5)}),
        ("regions.embedding", {"regions": RegionSettings("words", "whole")}),
        ("regions.max_regions", {"regions": RegionSettings("words", max_regions=-1)}),
        ("regions.min_score", {"regions": RegionSettings("words", min_score="high")}),
        ("spaces", {"spaces": "hsv"}),
        ("spaces", {"spaces": {"colour": 5}}),
        ("spaces", {"spaces": {"colour": SpaceSettings("hsv", "far")}}),
        ("index", {"spaces": {"colour": SpaceSettings("hsv", index="tree")}}),
    ],
)
def test_what_cannot_be_sent_is_named(client, server, field, arguments):
    with pytest.raises(InvalidRequest) as caught:
        client.create_collection("scenes", **arguments)
    assert caught.value.field == field
    assert len(server.called("CreateCollection")) == 1  # which made `photos`
