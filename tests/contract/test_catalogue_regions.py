"""Regions come and go with the version of the image that they were found in."""

import pytest

from pixvec.catalogue.interfaces import Committed
from pixvec.domain import Collection, Mask, Region
from pixvec.errors import CollectionNotFound
from tests.contract.catalogues import REGION_SPACE, SPACE, Bench, embedded, item, region

MASK = Mask(4, 3, (0, 5, 7))


@pytest.fixture
def photos(bench: Bench) -> Collection:
    return bench.collection(spaces=[SPACE, REGION_SPACE])


def index(bench: Bench, photos: Collection, name: str, *regions: Region) -> None:
    leased = bench.lease(bench.add(bench.job(photos), item(0, name, content=str(regions))))
    assert bench.catalogue.feed_writer.commit(leased, [embedded(leased.items[0], regions)], []).batches


def regions(bench: Bench, photos: Collection, name: str) -> list[Region]:
    return bench.catalogue.images.regions(photos.collection_id, name)


def test_a_space_of_regions_is_kept_as_it_was_made(bench: Bench, photos: Collection) -> None:
    assert bench.catalogue.collections.get("photos").spaces == (SPACE, REGION_SPACE)
    assert photos.region_space == REGION_SPACE
    assert bench.collection("without").region_space is None


def test_regions_are_kept_as_they_were_found(bench: Bench, photos: Collection) -> None:
    index(bench, photos, "a", region(0, MASK), region(1))
    index(bench, photos, "b")
    assert regions(bench, photos, "a") == [region(0, MASK), region(1)]
    assert regions(bench, photos, "b") == regions(bench, photos, "nobody") == []


def test_regions_of_many_images_are_read_at_once(bench: Bench, photos: Collection) -> None:
    index(bench, photos, "a", region(0, MASK), region(1))
    index(bench, photos, "b#0", region(0))
    places = [("b#0", 0), ("a", 0), ("a", 1), ("a", 2), ("nobody", 0)]
    reader = bench.catalogue.images
    assert reader.regions_at(photos.collection_id, places) == {
        ("a", 0): region(0),
        ("a", 1): region(1),
        ("b#0", 0): region(0),
    }
    assert reader.regions_at(photos.collection_id, places[1:2], with_masks=True) == {("a", 0): region(0, MASK)}
    assert reader.regions_at(photos.collection_id, []) == {}
    assert reader.regions_at(photos.collection_id + 1, places) == {}


def test_a_replacement_leaves_no_region_of_the_version_before(bench: Bench, photos: Collection) -> None:
    index(bench, photos, "a", *map(region, range(3)))
    index(bench, photos, "a", region(0, MASK))
    assert regions(bench, photos, "a") == [region(0, MASK)]
    index(bench, photos, "a")
    assert regions(bench, photos, "a") == []


def test_a_late_embed_brings_no_regions(bench: Bench, photos: Collection) -> None:
    late = bench.lease(bench.add(bench.job(photos), item(0, "a", content="late")))
    index(bench, photos, "a", region(0))
    assert bench.catalogue.feed_writer.commit(late, [embedded(late.items[0], [region(0), region(1)])], []).batches == ()
    assert regions(bench, photos, "a") == [region(0)]


def test_a_chunk_run_twice_writes_regions_once(bench: Bench, photos: Collection) -> None:
    leased = bench.lease(bench.add(bench.job(photos), item(0, "a"), item(1, "b")))
    found = [embedded(each, [region(0)]) for each in leased.items]
    assert bench.catalogue.feed_writer.commit(leased, found, []).batches
    assert bench.catalogue.feed_writer.commit(leased, found, []) == Committed()
    assert regions(bench, photos, "b") == [region(0)]


def test_a_deleted_image_has_no_regions(bench: Bench, photos: Collection) -> None:
    for name in ("a", "b"):
        index(bench, photos, name, region(0))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["a"])
    assert regions(bench, photos, "a") == []
    index(bench, photos, "a", region(1))
    assert regions(bench, photos, "a") == [region(1)]
    assert regions(bench, photos, "b") == [region(0)]


def test_a_purge_takes_the_regions_too(bench: Bench, photos: Collection) -> None:
    index(bench, photos, "a", region(0), region(1))
    kept = bench.collection("kept", spaces=[SPACE, REGION_SPACE])
    index(bench, kept, "a", region(0))
    bench.catalogue.collections.delete("photos")
    while bench.catalogue.collections.purge(2):
        pass
    assert regions(bench, photos, "a") == []
    assert regions(bench, kept, "a") == [region(0)]
    with pytest.raises(CollectionNotFound):
        bench.catalogue.collections.get_by_id(photos.collection_id)
