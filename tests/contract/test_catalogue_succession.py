"""Originals that go, or become other pictures: one of their duplicates takes their place, and none is lost."""

import threading

import pytest

from pixvec.domain import Collection, ImageState
from tests.contract.catalogues import BROKEN, Bench, embedded, item
from tests.contract.duplicates import KEEP, LINK, commit, found, image, originals, picture, take_in, work_left


@pytest.fixture
def photos(bench: Bench) -> Collection:
    return bench.collection(shards=2)


def test_deleting_a_linked_image_leaves_the_original(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    deleted = bench.catalogue.feed_writer.delete(photos.collection_id, ["b"])
    assert (deleted.deleted, deleted.batches, deleted.chunks, found(bench, photos)) == (1, (), (), ["a"])


def test_the_oldest_duplicate_takes_the_place_of_a_deleted_original(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    for name in ("first", "second", "third"):
        take_in(bench, photos, LINK, item(0, name, {"name": name}, "lake"))
    deleted = bench.catalogue.feed_writer.delete(photos.collection_id, ["a"])
    assert image(bench, photos, "first").state is ImageState.PENDING
    assert originals(bench, photos, "first", "second", "third") == ["", "first", "first"]
    [ref] = deleted.chunks
    leased = bench.lease(ref)
    assert [(each.image_id, each.attributes) for each in leased.items] == [("first", {"name": "first"})]
    commit(bench, leased)
    assert (found(bench, photos), image(bench, photos, "first").state) == (["first"], ImageState.INDEXED)
    assert bench.catalogue.jobs.get(ref.job_id).state == "completed"


def test_what_takes_its_place_is_found_by_the_sweeper_too(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["a"])
    [leased] = work_left(bench)
    commit(bench, leased)
    assert found(bench, photos) == ["b"]


def test_originals_and_duplicates_are_deleted_together(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    deleted = bench.catalogue.feed_writer.delete(photos.collection_id, ["a", "b"])
    assert (deleted.deleted, deleted.chunks, found(bench, photos)) == (2, (), [])


@pytest.mark.parametrize("content", ["hill", "lake again"])
def test_duplicates_of_what_an_image_was_before_part_from_it(bench: Bench, photos: Collection, content: str) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    take_in(bench, photos, KEEP, picture("a", content))
    if content == "lake again":
        assert originals(bench, photos, "b") == ["a"]
        return
    [leased] = work_left(bench)
    commit(bench, leased)
    assert (found(bench, photos), originals(bench, photos, "b")) == (["a", "b"], [""])


def test_an_original_that_becomes_a_duplicate_takes_nobody_with_it(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    take_in(bench, photos, KEEP, picture("c", "hill"))
    take_in(bench, photos, LINK, picture("a", "hill"))
    assert originals(bench, photos, "a", "b") == ["c", ""]
    [leased] = work_left(bench)
    commit(bench, leased)
    assert found(bench, photos) == ["b", "c"]


def test_the_next_takes_the_place_of_one_that_could_not(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    for name in ("first", "second"):
        take_in(bench, photos, LINK, picture(name))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["a"])
    [leased] = work_left(bench)
    bench.commit(leased, [], leased.items)
    assert image(bench, photos, "first").error == BROKEN
    [leased] = work_left(bench)
    commit(bench, leased)
    assert found(bench, photos) == ["second"]


def test_a_newer_version_comes_after_taking_the_place(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    old = bench.lease(bench.add(bench.job(photos, on_duplicate=LINK), picture("b", "lake again")))
    new = bench.lease(bench.add(bench.job(photos), picture("b", "hill")))
    commit(bench, old)
    [ref] = bench.catalogue.feed_writer.delete(photos.collection_id, ["a"]).chunks
    heir = bench.lease(ref)
    commit(bench, new)
    commit(bench, heir)
    assert (image(bench, photos, "b").content_hash, found(bench, photos)) == ("hill", ["b"])


def test_duplicates_of_what_is_a_duplicate_itself_now_have_the_same_original(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a", "lake again"))
    for name, content in (("b", "lake"), ("far", "shore")):
        take_in(bench, photos, LINK, picture(name, content))
    take_in(bench, photos, KEEP, picture("c"))
    take_in(bench, photos, LINK, picture("a"))
    assert originals(bench, photos, "a", "b", "far") == ["c", "c", ""]
    [leased] = work_left(bench)
    assert [each.image_id for each in leased.items] == ["far"]
    commit(bench, leased)
    assert found(bench, photos) == ["c", "far"]


def test_what_takes_the_place_of_an_original_may_be_a_duplicate_by_then(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    for name in ("first", "second"):
        take_in(bench, photos, LINK, picture(name))
    [ref] = bench.catalogue.feed_writer.delete(photos.collection_id, ["a"]).chunks
    heir = bench.lease(ref)
    take_in(bench, photos, LINK, picture("z"))
    commit(bench, heir)
    assert originals(bench, photos, "first", "second") == ["z", "z"]
    assert (work_left(bench), found(bench, photos)) == ([], ["z"])


def test_a_commit_tells_of_the_work_it_makes(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    leased = bench.lease(bench.add(bench.job(photos), picture("a", "hill")))
    done = [embedded(each) for each in leased.items]
    [ref] = bench.catalogue.feed_writer.commit(leased, done, []).chunks
    commit(bench, bench.lease(ref))
    assert found(bench, photos) == ["a", "b"]


def test_what_takes_the_place_of_one_that_was_given_up_is_left_to_the_sweeper(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    for name in ("first", "second"):
        take_in(bench, photos, LINK, picture(name))
    [ref] = bench.catalogue.feed_writer.delete(photos.collection_id, ["a"]).chunks
    for _ in range(3):
        bench.lease(ref)
        bench.expire_leases()
    assert bench.catalogue.jobs.lease_chunk(ref, "worker", 60.0) is None
    bench.expire_leases()
    [heir] = bench.catalogue.jobs.deserted(60.0, 10)
    commit(bench, bench.lease(heir))
    assert found(bench, photos) == ["second"]


def test_linking_while_the_original_is_deleted_loses_nothing(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    jobs = [bench.job(photos, on_duplicate=LINK) for _ in range(8)]
    adding = [
        threading.Thread(target=bench.catalogue.jobs.add_items, args=(job_id, [picture(f"p{n}")]))
        for n, job_id in enumerate(jobs)
    ]
    deleting = threading.Thread(target=bench.catalogue.feed_writer.delete, args=(photos.collection_id, ["a"]))
    threads = [*adding[:4], deleting, *adding[4:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while left := work_left(bench):
        for leased in left:
            commit(bench, leased)
    [original] = found(bench, photos)
    assert originals(bench, photos, *(f"p{n}" for n in range(8) if f"p{n}" != original)) == [original] * 7
