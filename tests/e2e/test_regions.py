"""Objects of pictures are found as they come in, told with their pictures, and found again, through the SDK."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pixvec.client import Client, FoundRegion, RegionEmbedding, RegionSettings
from pixvec.domain import SpaceKind
from pixvec.embedded.running import RunningSystem
from pixvec.errors import InvalidRequest, ModelNotFound
from tests.detectors import DIM, NAME, SIDE
from tests.pictures import encode
from tests.scenes import Scene, Thing, scenes

# None of those that the detector was trained on.
UNSEEN = range(2_000_000, 2_000_020)
COLLECTION = "objects"


@pytest.fixture(scope="module")
def unseen() -> list[Scene]:
    return list(scenes(UNSEEN, (SIDE, SIDE)))


@pytest.fixture(scope="module")
def filled(system: RunningSystem, unseen: list[Scene]) -> Iterator[Client]:
    """A client of a system that holds the unseen scenes, each by the number of its place, and a picture of nothing."""
    with Client(system.address) as client:
        client.create_collection(COLLECTION, "hog-color", regions=NAME, spaces={"colours": "color-hsv"})
        job = client.ingest(
            COLLECTION,
            [*((f"{place}", encode(each.picture, "PNG")) for place, each in enumerate(unseen)), ("nothing", nothing())],
        )
        job.wait()
        assert job.failures == []
        yield client
        client.delete_collection(COLLECTION)


def nothing() -> bytes:
    return encode(Image.new("RGB", (SIDE, SIDE), (90, 90, 90)), "PNG")


def overlap(region: FoundRegion, thing: Thing) -> float:
    """Return the intersection of two boxes over their union."""
    assert region.box is not None
    ours = np.array([region.box.x1, region.box.y1, region.box.x2, region.box.y2])
    theirs = np.array(thing.box_xyxy)
    shared = np.clip(np.minimum(ours, theirs)[2:] - np.maximum(ours, theirs)[:2], 0, None).prod()
    areas = sum((box[2:] - box[:2]).prod() for box in (ours, theirs))
    return float(shared / (areas - shared))


def test_a_collection_tells_its_spaces(filled: Client) -> None:
    image, colours, region = filled.get_collection(COLLECTION).spaces
    assert [(each.name, each.kind) for each in (image, colours, region)] == [
        ("image", SpaceKind.IMAGE),
        ("colours", SpaceKind.IMAGE),
        ("region", SpaceKind.REGION),
    ]
    assert (colours.model, region.model, region.dim) == ("color-hsv", NAME, DIM)
    assert region.regions == RegionSettings(NAME)


def test_images_tell_where_their_objects_are(filled: Client, unseen: list[Scene]) -> None:
    seen, there = 0, 0
    for place, scene in enumerate(unseen):
        regions = filled.get_image(COLLECTION, f"{place}", regions=True).regions
        assert [region.region_id for region in regions] == [f"{place}#{n}" for n in range(len(regions))]
        assert [region.score for region in regions] == sorted((region.score for region in regions), reverse=True)
        there += len(scene.things)
        seen += sum(
            any(region.class_name == thing.shape and overlap(region, thing) >= 0.5 for region in regions)
            for thing in scene.things
        )
    # How good the detector is has a test of its own: boxes in other pixels would overlap none.
    assert seen >= 0.6 * there


def test_an_object_finds_others_of_its_class(filled: Client, unseen: list[Scene]) -> None:
    (first, *_) = filled.get_image(COLLECTION, "0", regions=True).regions
    hits = filled.search(COLLECTION, region_id=first.region_id, regions=True, limit=5)
    assert hits.space == "region"
    assert hits[0].region == FoundRegion(
        first.region_id, 0, first.box, first.class_name, pytest.approx(first.score), first.mask
    )
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    classes = [hit.region.class_name for hit in hits if hit.region is not None]
    assert classes.count(first.class_name) >= 3


def test_a_picture_without_any_object_is_found_as_a_picture_only(filled: Client, unseen: list[Scene]) -> None:
    assert filled.get_image(COLLECTION, "nothing", regions=True).regions == ()
    assert filled.search(COLLECTION, image=nothing(), limit=1)[0].image_id == "nothing"
    assert filled.search(COLLECTION, image=nothing(), space="colours", limit=1)[0].image_id == "nothing"
    everything = filled.search(COLLECTION, region_id="0#0", limit=100)
    assert "nothing" not in [hit.image_id for hit in everything]
    assert filled.get_collection(COLLECTION).image_count == len(unseen) + 1


def test_objects_go_with_their_picture_and_with_its_version(filled: Client, unseen: list[Scene]) -> None:
    picture = encode(unseen[1].picture, "PNG")
    filled.ingest(COLLECTION, [("passing", picture)]).wait()
    found = filled.get_image(COLLECTION, "passing", regions=True).regions
    assert found
    assert "passing" in places(filled, "1#0")
    filled.ingest(COLLECTION, [("passing", nothing())]).wait()
    assert filled.get_image(COLLECTION, "passing", regions=True).regions == ()
    assert "passing" not in places(filled, "1#0")
    filled.ingest(COLLECTION, [("passing", picture)]).wait()
    assert filled.get_image(COLLECTION, "passing", regions=True).regions == found
    filled.delete_images(COLLECTION, ["passing"])
    assert "passing" not in places(filled, "1#0")


def places(client: Client, region_id: str) -> list[str]:
    return [hit.image_id for hit in client.search(COLLECTION, region_id=region_id, limit=100)]


def test_crops_are_embedded_by_the_model_of_the_collection(client: Client, unseen: list[Scene]) -> None:
    settings = RegionSettings(NAME, RegionEmbedding.CROP, class_agnostic=True, min_score=0.3, max_regions=2)
    made = client.create_collection("crops", "color-hsv", regions=settings)
    assert [each.dim for each in made.spaces] == [272, 272]
    assert made.spaces[1].regions == settings
    client.ingest("crops", [(f"{place}", encode(unseen[place].picture, "PNG")) for place in range(4)]).wait()
    regions = [client.get_image("crops", f"{place}", regions=True).regions for place in range(4)]
    assert {region.class_name for each in regions for region in each} == {""}
    assert all(1 <= len(each) <= 2 for each in regions)
    best = client.search("crops", region_id="3#0", limit=1)[0]
    assert (best.image_id, best.score) == ("3", pytest.approx(1, abs=1e-3))
    client.delete_collection("crops")


def test_what_cannot_be_made_is_refused_and_leaves_nothing(client: Client) -> None:
    with pytest.raises(ModelNotFound, match="eyes") as unknown:
        client.create_collection("refused", "hog-color", regions="eyes")
    assert unknown.value.field == "regions.detector"
    with pytest.raises(InvalidRequest, match="makes no masks"):
        client.create_collection("refused", "hog-color", regions=RegionSettings(NAME, background_out=True))
    with pytest.raises(InvalidRequest, match="max_regions"):
        client.create_collection("refused", "hog-color", regions=RegionSettings(NAME, max_regions=0))
    with pytest.raises(InvalidRequest, match="give this one another name"):
        client.create_collection("refused", "hog-color", spaces={"region": "color-hsv"})
    assert "refused" not in [each.name for each in client.list_collections()]
