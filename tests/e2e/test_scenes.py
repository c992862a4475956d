"""Parts of pictures and whole scenes are searched for, as a detector sees them, through the SDK."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pixvec.client import Client, SearchResult
from pixvec.embedded.running import RunningSystem
from pixvec.errors import BoxOutside, InvalidRequest, NoRegions, PictureNotRecognised, RegionNotFound
from tests.detectors import NAME, SIDE
from tests.pictures import encode, make_jpeg
from tests.scenes import Scene, scenes

# None of those that the detector was trained on; those that are searched by are not in the collection either.
UNSEEN, QUERIES = range(3_000_000, 3_000_040), range(4_000_000, 4_000_012)
COLLECTION = "scenery"


@pytest.fixture(scope="module")
def unseen() -> list[Scene]:
    return list(scenes(UNSEEN, (SIDE, SIDE)))


@pytest.fixture(scope="module")
def queries() -> list[Scene]:
    return list(scenes(QUERIES, (SIDE, SIDE), things=(2, 2)))


@pytest.fixture(scope="module")
def filled(system: RunningSystem, unseen: list[Scene]) -> Iterator[Client]:
    """A client of a system that holds the unseen scenes, each by the number of its place."""
    with Client(system.address) as client:
        client.create_collection(COLLECTION, "hog-color", regions=NAME)
        job = client.ingest(
            COLLECTION,
            [(f"{place}", png(each.picture)) for place, each in enumerate(unseen)],
            attributes=lambda image_id: {"place": int(image_id)},
        )
        job.wait()
        assert job.failures == []
        yield client
        client.delete_collection(COLLECTION)


def png(picture: Image.Image) -> bytes:
    return encode(picture, "PNG")


def classes(hits: SearchResult) -> list[str]:
    return [hit.region.class_name for hit in hits if hit.region is not None]


def test_a_drawn_box_finds_things_of_its_shape(filled: Client, queries: list[Scene]) -> None:
    right = []
    for scene in queries:
        for thing in scene.things:
            hits = filled.search(
                COLLECTION, image=png(scene.picture), box=thing.box_xyxy, regions=True, limit=5, timeout_s=60
            )
            assert hits.space == "region"
            assert hits.timings.inference > 0
            right += [name == thing.shape for name in classes(hits)]
    # One in five by chance.
    assert np.mean(right) >= 0.6


def test_the_box_of_a_region_is_like_that_region(filled: Client) -> None:
    region = filled.get_image(COLLECTION, "5", regions=True).regions[0]
    assert region.box is not None
    by_box = filled.search(COLLECTION, image_id="5", box=region.box, limit=5)
    by_region = filled.search(COLLECTION, region_id=region.region_id, limit=5)
    assert (by_box[0].image_id, by_region[0].image_id) == ("5", "5")
    # A detector describes what it finds before it has settled the last of its boxes.
    assert by_box[0].score == pytest.approx(1, abs=0.05)
    assert len({hit.image_id for hit in by_box} & {hit.image_id for hit in by_region}) >= 3


def test_a_box_is_of_the_upright_picture(filled: Client, queries: list[Scene]) -> None:
    scene = queries[0]
    exif = Image.Exif()
    # Turned a quarter clockwise by whoever shows it.
    exif[0x0112] = 6
    lying = encode(scene.picture.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    box = scene.things[0].box_xyxy
    for space in ("region", "image"):
        upright = filled.search(COLLECTION, image=png(scene.picture), box=box, space=space)
        turned = filled.search(COLLECTION, image=lying, box=box, space=space)
        assert [(hit.image_id, hit.score) for hit in turned] == [(hit.image_id, hit.score) for hit in upright]


def test_in_a_space_of_whole_pictures_a_box_is_cut_out(filled: Client, queries: list[Scene]) -> None:
    picture, box = queries[1].picture, (10, 20, SIDE - 25, SIDE - 5)
    boxed = filled.search(COLLECTION, image=png(picture), box=box, space="image")
    cut = filled.search(COLLECTION, image=png(picture.crop(box)), space="image")
    assert [(hit.image_id, hit.score) for hit in boxed] == [(hit.image_id, hit.score) for hit in cut]
    stored = filled.search(COLLECTION, image_id="7", box=(0, 0, SIDE, SIDE), space="image", limit=1)
    assert (stored[0].image_id, stored[0].region) == ("7", None)
    assert stored[0].score == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("space", ["region", "image"])
@pytest.mark.parametrize("box", [(SIDE, 0, SIDE + 9, 9), (0, -9, 9, 0)])
def test_a_box_outside_the_picture_names_the_field_and_the_size(
    filled: Client, queries: list[Scene], box: tuple[int, int, int, int], space: str
) -> None:
    with pytest.raises(BoxOutside, match=f"{SIDE} x {SIDE} pixels") as caught:
        filled.search(COLLECTION, image=png(queries[0].picture), box=box, space=space)
    assert caught.value.field == "box"


def test_what_is_no_box_or_no_region_names_the_field(filled: Client, queries: list[Scene]) -> None:
    picture = png(queries[0].picture)
    with pytest.raises(InvalidRequest, match="x1 must be less than x2") as backwards:
        filled.search(COLLECTION, image=picture, box=(50, 0, 40, 9))
    assert backwards.value.field == "box"
    with pytest.raises(InvalidRequest, match="finite"):
        filled.search(COLLECTION, image=picture, box=(0, 0, float("nan"), 9))
    with pytest.raises(RegionNotFound):
        filled.search(COLLECTION, region_id="5#99")
    with pytest.raises(InvalidRequest, match="is no region"):
        filled.search(COLLECTION, region_id="5")
    with pytest.raises(InvalidRequest, match="QueryScene"):
        filled.search(COLLECTION, image=picture, space="region")
    with pytest.raises(PictureNotRecognised):
        filled.search(COLLECTION, image=b"no picture at all", box=(0, 0, 9, 9))


def test_a_collection_without_regions_has_no_objects(client: Client, collection: str) -> None:
    client.ingest(collection, [("one", make_jpeg(1))]).wait()
    with pytest.raises(NoRegions, match="make a collection with `regions`"):
        client.search_scene(collection, image_id="one")
    with pytest.raises(NoRegions):
        client.search(collection, region_id="one#0")
    assert client.search(collection, image_id="one", box=(0, 0, 160, 120), limit=1)[0].image_id == "one"


def test_each_object_of_a_scene_finds_its_shape(filled: Client, queries: list[Scene]) -> None:
    seen, right = [], []
    for scene in queries:
        found = filled.search_scene(COLLECTION, image=png(scene.picture), limit=5)
        assert (found.width, found.height, found.space) == (SIDE, SIDE, "region")
        shapes = {each.region.class_name for each in found}
        seen += [thing.shape in shapes for thing in scene.things]
        for each in found:
            right += [hit.region.class_name == each.region.class_name for hit in each.hits if hit.region]
    assert np.mean(seen) >= 0.7
    assert np.mean(right) >= 0.6


def test_pictures_that_hold_all_objects_are_ranked_by_the_mean(filled: Client, unseen: list[Scene]) -> None:
    place = next(place for place, scene in enumerate(unseen) if len(scene.things) == 3)
    found = filled.search_scene(COLLECTION, image_id=f"{place}", limit=40, attributes=True)
    assert len(found) > 1
    best = found.pictures[0]
    assert (best.image_id, best.score) == (f"{place}", pytest.approx(1, abs=1e-3))
    assert best.attributes == {"place": place}
    # Every picture with an object is among the hits of every object.
    by_object = [{hit.image_id: hit.score for hit in each.hits} for each in found]
    truth = {image_id: np.mean([hits[image_id] for hits in by_object]) for image_id in by_object[0]}
    assert {hit.image_id: hit.score for hit in found.pictures} == pytest.approx(truth, abs=1e-5)
    assert [hit.score for hit in found.pictures] == sorted((hit.score for hit in found.pictures), reverse=True)
    for hit in found.pictures:
        assert hit.score == pytest.approx(np.mean([match.score for match in hit.objects]), abs=1e-6)
        assert all(match.region.region_id.startswith(f"{hit.image_id}#") for match in hit.objects)
        assert all(match.region.box is not None for match in hit.objects)
    held = filled.search_scene(COLLECTION, image_id=f"{place}", min_score=0.99)
    assert [hit.image_id for hit in held.pictures] == [f"{place}"]


def test_a_picture_without_any_object_has_an_empty_scene(filled: Client) -> None:
    found = filled.search_scene(COLLECTION, image=png(Image.new("RGB", (SIDE, SIDE), (90, 90, 90))))
    assert (list(found), found.pictures, found.objects_found) == ([], (), 0)
    assert found.coverage.complete
    assert (found.width, found.height) == (SIDE, SIDE)


def test_no_more_objects_are_searched_for_than_asked(filled: Client, queries: list[Scene]) -> None:
    all_of_them = filled.search_scene(COLLECTION, image=png(queries[2].picture))
    found = filled.search_scene(COLLECTION, image=png(queries[2].picture), max_objects=1)
    assert (len(found), found.objects_found) == (1, all_of_them.objects_found)
    assert found[0].region == all_of_them[0].region
