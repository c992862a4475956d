"""Whose bytes are still needed: those of images, and of items that are yet to become one."""

from pixvec.catalogue.interfaces import NewItem
from tests.contract.catalogues import Bench, item


def in_use(bench: Bench, *contents: str) -> set[str]:
    return bench.catalogue.images.contents_in_use(["nobody's", *contents])


def test_what_an_image_shows_is_in_use_until_the_image_is_gone(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0, content="a"), item(1, content="b"))
    assert in_use(bench, "a", "b") == {"a", "b"}
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    bench.index(photos, item(1, content="c"))
    assert in_use(bench, "a", "b", "c") == {"c"}


def test_what_waits_to_be_taken_in_is_in_use_though_its_image_is_another_or_gone(bench: Bench) -> None:
    photos = bench.collection()
    old = bench.lease(bench.add(bench.job(photos), item(0, "x", content="old")))
    new = bench.lease(bench.add(bench.job(photos), item(0, "x", content="new")))
    assert in_use(bench, "old", "new") == {"old", "new"}
    bench.catalogue.feed_writer.delete(photos.collection_id, ["x"])
    assert in_use(bench, "old", "new") == {"old", "new"}
    bench.commit(old, old.items)
    bench.commit(new, [], new.items)
    assert in_use(bench, "old", "new") == set()


def test_the_same_bytes_in_two_collections_are_in_use_until_both_are_purged(bench: Bench) -> None:
    for name in ("one", "other"):
        bench.index(bench.collection(name), item(0, content="shared"))
    for name, left in (("one", {"shared"}), ("other", set())):
        bench.catalogue.collections.delete(name)
        while bench.catalogue.collections.purge(100):
            pass
        assert in_use(bench, "shared") == left


def test_items_that_ended_with_their_collection_hold_nothing(bench: Bench) -> None:
    photos = bench.collection()
    bench.add(bench.job(photos), item(0, content="pending"))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    assert in_use(bench, "pending") == {"pending"}
    bench.catalogue.collections.delete("photos")
    assert in_use(bench, "pending") == set()


def test_no_content_is_in_nobodys_use(bench: Bench) -> None:
    bench.add(bench.job(bench.collection()), NewItem(0, "by uri", {}, uri="file:///pictures/0.jpg"))
    assert in_use(bench, "") == set()
    assert bench.catalogue.images.contents_in_use([]) == set()
