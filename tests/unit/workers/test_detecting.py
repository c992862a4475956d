"""Regions of pictures that somebody waits for, in pixels of the upright picture."""

import io

import numpy as np
import pytest
from PIL import Image

from pixvec.api.v1 import collection_service_pb2, common_pb2
from pixvec.errors import DigestMismatch, ModelNotFound, Overloaded
from pixvec.internal.v1 import embedder_service_pb2 as pb
from tests.in_loop import in_loop
from tests.pictures import encode
from tests.unit.workers.blobs import BlobRegions, Blobs, blob_regions
from tests.unit.workers.ingesting import Means
from workers.batcher import Batcher
from workers.decode_pool import InlineDecoder
from workers.embedder import EmbedderService
from workers.region_models import RegionModels

SETTINGS = collection_service_pb2.RegionSettings(detector="blobs")
CROPS = collection_service_pb2.RegionSettings(detector="blobs", embedding=collection_service_pb2.REGION_EMBEDDING_CROP)


def load(name):
    if name != "blobs":
        raise ModelNotFound(f"no detector {name!r}", field="regions.detector")
    return Blobs()


class Host:
    """Has blobs, and crops of mean colours."""

    regions = RegionModels(load, lambda name: Means(), blob_regions)


@pytest.fixture
def service():
    batcher = Batcher(4)
    batcher.start()
    yield EmbedderService(Host(), InlineDecoder(), batcher)
    batcher.close()


def scene(*boxes, colours=((250, 0, 0), (0, 250, 0)), size=(160, 80)) -> bytes:
    picture = Image.new("RGB", size)
    for box, colour in zip(boxes, colours, strict=False):
        picture.paste(colour, box)
    return encode(picture, "PNG")


def request(*images, **fields):
    return pb.DetectRegionsRequest(**{"settings": SETTINGS, "images": images} | fields)


def vectors(found):
    return np.frombuffer(found.vectors, "<f4").reshape(-1, found.dim)


@in_loop
async def test_objects_are_found_each_with_its_vector(service):
    answer = await service.DetectRegions(request(scene((0, 0, 80, 40), (120, 40, 160, 80))), None)
    (found,) = answer.results
    assert [(each.ordinal, each.class_name, each.region_id) for each in found.regions] == [
        (0, "red", ""),
        (1, "green", ""),
    ]
    first, second = (each.box for each in found.regions)
    assert (first.x1, first.y1, first.x2, first.y2) == pytest.approx((0, 0, 80, 40), abs=3)
    assert (second.x1, second.y1, second.x2, second.y2) == pytest.approx((120, 40, 160, 80), abs=3)
    assert (found.width, found.height) == (160, 80)
    assert vectors(found).argmax(axis=1).tolist() == [0, 1]
    assert answer.decode_seconds > 0


@in_loop
async def test_boxes_are_told_in_pixels_of_the_upright_picture(service):
    picture = Image.new("RGB", (160, 80))
    picture.paste((250, 0, 0), (0, 0, 80, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    picture.save(turned, "JPEG", exif=exif, quality=95)
    answer = await service.DetectRegions(request(turned.getvalue()), None)
    (found,) = answer.results
    assert (found.width, found.height) == (80, 160)
    (region,) = found.regions
    # The upper left corner of the file is the upper right one of the picture.
    assert (region.box.x1, region.box.y1, region.box.x2, region.box.y2) == pytest.approx((40, 0, 80, 80), abs=4)


@in_loop
async def test_a_picture_without_an_object_and_one_that_is_none(service):
    empty, broken, full = (
        await service.DetectRegions(request(scene(), b"no picture", scene((0, 0, 80, 40))), None)
    ).results
    assert (len(empty.regions), empty.vectors, empty.dim, empty.width) == (0, b"", 3, 160)
    assert broken.error.reason == "PICTURE_NOT_RECOGNISED"
    assert len(full.regions) == 1


@in_loop
async def test_a_drawn_box_is_described_and_one_outside_is_told(service):
    content = scene((0, 0, 80, 80), (80, 0, 160, 80))
    boxes = [
        common_pb2.Box(x1=90, y1=10, x2=150, y2=70),
        common_pb2.Box(x1=-50, y1=-50, x2=60, y2=60),
        common_pb2.Box(x1=160, y1=0, x2=200, y2=80),
    ]
    green, red, outside = (await service.DetectRegions(request(*[content] * 3, boxes=boxes), None)).results
    (region,) = green.regions
    assert (region.class_name, region.score) == ("", 1.0)
    assert region.box.x1 == pytest.approx(90, abs=1)
    assert vectors(green).argmax() == 1
    assert vectors(red).argmax() == 0
    assert red.regions[0].box.x1 == 0
    assert outside.error.reason == "BOX_OUTSIDE"
    assert "160 x 80 pixels" in outside.error.message


@in_loop
async def test_a_box_too_thin_for_the_detectors_pixels_is_told_and_harms_no_other(service):
    content = scene((0, 0, 640, 320), size=(640, 320))
    boxes = [common_pb2.Box(x1=0, y1=0, x2=1e-45, y2=320), common_pb2.Box(x1=0, y1=0, x2=600, y2=300)]
    thin, whole = (await service.DetectRegions(request(content, content, boxes=boxes), None)).results
    assert thin.error.reason == "BOX_OUTSIDE"
    assert len(whole.regions) == 1


@in_loop
async def test_crops_are_embedded_by_the_model_of_the_collection(service):
    resolved = await service.ResolveRegions(pb.ResolveRegionsRequest(settings=CROPS, image_model="means"), None)
    assert (resolved.detector, resolved.dim, resolved.digest.hex()) == ("blobs", 3, "c1" * 32)
    asked = request(scene((0, 0, 80, 40)), settings=CROPS, image_model="means", digest=bytes.fromhex("c1" * 32))
    (found,) = (await service.DetectRegions(asked, None)).results
    assert vectors(found).argmax(axis=1).tolist() == [0]


@in_loop
async def test_what_cannot_be_had_is_said(service):
    with pytest.raises(ModelNotFound, match="no detector 'eyes'"):
        await service.ResolveRegions(pb.ResolveRegionsRequest(settings={"detector": "eyes"}), None)
    with pytest.raises(DigestMismatch, match="regions by blobs"):
        await service.DetectRegions(request(scene(), digest=b"\0" * 32), None)


@in_loop
async def test_pictures_of_a_call_that_finds_no_room_are_not_looked_at(monkeypatch):
    looked_at = []
    monkeypatch.setattr(BlobRegions, "detect", lambda self, pictures: looked_at.append(pictures))
    batcher = Batcher(4, max_waiting=2)
    with pytest.raises(Overloaded):
        await EmbedderService(Host(), InlineDecoder(), batcher).DetectRegions(request(*[scene()] * 3), None)
    batcher.start()
    batcher.close()
    assert looked_at == []
