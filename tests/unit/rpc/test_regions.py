import datetime as dt

import pytest

from pixvec.api.v1 import collection_service_pb2 as pb
from pixvec.domain import (
    Box,
    Collection,
    IndexKind,
    IndexSettings,
    Mask,
    Metric,
    Region,
    RegionEmbedding,
    RegionSettings,
    Space,
    region_id,
    split_region_id,
)
from pixvec.rpc.regions import (
    box_from_wire,
    box_to_wire,
    region_from_wire,
    region_settings_from_wire,
    region_settings_to_wire,
    region_to_wire,
)
from pixvec.rpc.spaces import regions_to_wire, spaces_from_wire, spaces_to_wire

SETTINGS = RegionSettings("fasterrcnn", RegionEmbedding.CROP, True, 0.3, 7, 0.01, False)


@pytest.mark.parametrize("settings", [SETTINGS, RegionSettings("fasterrcnn"), RegionSettings("x", min_score=0.0)])
def test_settings_come_back_as_they_were(settings):
    assert region_settings_from_wire(region_settings_to_wire(settings)) == settings


def test_what_is_left_out_is_the_default():
    assert region_settings_from_wire(pb.RegionSettings(detector="x")) == RegionSettings("x")


@pytest.mark.parametrize("mask", [None, Mask(4, 3, (0, 5, 7))])
def test_regions_come_back_as_they_were(mask):
    region = Region(3, Box(1.5, 2.0, 3.25, 4.0), "cat", 0.5, mask)
    wire = region_to_wire(region, "folder/a#b.jpg")
    assert wire.region_id == "folder/a#b.jpg#3"
    assert region_from_wire(wire) == region
    assert region_to_wire(region).region_id == ""
    assert box_from_wire(box_to_wire(region.box)) == region.box


def test_the_id_of_a_region_names_its_image_and_its_place():
    assert split_region_id(region_id("a#1.jpg", 12)) == ("a#1.jpg", 12)
    for name in ("a.jpg", "a.jpg#", "#3", "a.jpg#x", "a.jpg#-1", "a.jpg#²", ""):
        assert split_region_id(name) is None


def test_spaces_come_back_as_they_were():
    index = IndexSettings(IndexKind.HNSW, hnsw_m=8)
    spaces = (
        Space("image", "clip", 4, Metric.EUCLIDEAN, "ab" * 32, takes_text=True),
        Space("region", "fasterrcnn", 8, Metric.COSINE, "cd" * 32, index, SETTINGS),
        Space("colour", "hsv", 2, Metric.INNER_PRODUCT, "ef" * 32),
    )
    collection = Collection(1, "photos", spaces, 1, dt.datetime.now(dt.UTC))
    regions = regions_to_wire(collection)
    assert regions is not None
    assert regions.index.hnsw_m == 8
    assert spaces_from_wire(pb.Collection(spaces=spaces_to_wire(spaces), regions=regions)) == spaces
    without = Collection(1, "photos", spaces[:1], 1, collection.created_at)
    assert regions_to_wire(without) is None
    assert spaces_from_wire(pb.Collection(spaces=spaces_to_wire(spaces[:1]))) == spaces[:1]
