"""Several versions of one image under way at once: whichever order they end in, the newest one that works is found."""

from collections.abc import Callable

import pytest

from pixvec.catalogue.acceptance import MAX_PENDING
from pixvec.catalogue.interfaces import ItemStatus, LeasedChunk
from pixvec.domain import Collection, Image, IngestStage, OnExisting
from tests.contract.catalogues import BROKEN, Bench, item


def version(content: str, ordinal: int = 0):
    return item(ordinal, "x", content=content)


def leased_in_turn(bench: Bench, photos: Collection, *contents: str) -> list[LeasedChunk]:
    """Accept versions of one image, each in a job of its own, and lease them."""
    return [bench.lease(bench.add(bench.job(photos), version(content))) for content in contents]


def status_of(bench: Bench, leased: LeasedChunk) -> ItemStatus:
    [status] = bench.catalogue.jobs.statuses(leased.ref.job_id, [leased.ref.chunk])
    return status


def image(bench: Bench, photos: Collection) -> Image:
    return bench.catalogue.images.get(photos.collection_id, "x")


def found(bench: Bench, photos: Collection) -> list[bytes]:
    return [entry.record for entry in bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 10).entries]


def succeed(bench: Bench, leased: LeasedChunk) -> None:
    bench.commit(leased, leased.items)


def fail(bench: Bench, leased: LeasedChunk) -> None:
    bench.commit(leased, [], leased.items)


@pytest.mark.parametrize(("first", "then"), [(fail, succeed), (succeed, fail)], ids=["bad first", "good first"])
def test_a_good_version_is_found_though_a_newer_one_is_bad(
    bench: Bench, first: Callable[[Bench, LeasedChunk], None], then: Callable[[Bench, LeasedChunk], None]
) -> None:
    photos = bench.collection()
    good, bad = leased_in_turn(bench, photos, "good", "bad")
    for end in (first, then):
        end(bench, good if end is succeed else bad)
    assert status_of(bench, good).position is not None
    assert status_of(bench, bad).error == BROKEN
    assert (image(bench, photos).state, image(bench, photos).content_hash) == ("indexed", "good")
    assert bench.catalogue.collections.count_images(photos.collection_id) == len(found(bench, photos)) == 1


def test_two_chunks_of_one_job_are_no_different(bench: Bench) -> None:
    photos = bench.collection()
    job_id = bench.job(photos)
    good, bad = (bench.lease(bench.add(job_id, version(name, n))) for n, name in enumerate(("good", "bad")))
    fail(bench, bad)
    succeed(bench, good)
    assert [status.position is not None for status in bench.catalogue.jobs.statuses(job_id)] == [True, False]
    assert image(bench, photos).content_hash == "good"


def test_a_version_that_takes_its_worker_down_gives_way_to_the_one_before(bench: Bench) -> None:
    photos = bench.collection()
    good = bench.add(bench.job(photos), version("good"))
    killer = bench.add(bench.job(photos), version("killer"))
    for n in range(3):
        bench.lease(killer, f"w{n}")
        bench.expire_leases()
    assert bench.catalogue.jobs.lease_chunk(killer, "last", 60.0) is None
    succeed(bench, bench.lease(good))
    assert image(bench, photos).content_hash == "good"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_the_newest_wins_in_whatever_order_they_end(bench: Bench, order: tuple[int, ...]) -> None:
    photos = bench.collection()
    chunks = leased_in_turn(bench, photos, "a", "b", "c")
    for n in order:
        succeed(bench, chunks[n])
    assert image(bench, photos).content_hash == "c"
    assert [status_of(bench, chunk).stage for chunk in chunks] == [IngestStage.INDEXED] * 3
    assert len(found(bench, photos)) == 1
    # What lives is the newest there is: the same again needs no work.
    assert bench.catalogue.jobs.add_items(bench.job(photos), [version("c")]).statuses[0].unchanged


def test_an_overtaken_version_has_no_position_of_its_own(bench: Bench) -> None:
    photos = bench.collection()
    old, new = leased_in_turn(bench, photos, "old", "new")
    succeed(bench, new)
    succeed(bench, old)
    status = status_of(bench, old)
    assert (status.stage, status.position, status.error) == (IngestStage.INDEXED, None, None)
    assert image(bench, photos).content_hash == "new"


def test_an_overtaken_version_that_fails_takes_nothing_with_it(bench: Bench) -> None:
    photos = bench.collection()
    old, new = leased_in_turn(bench, photos, "old", "new")
    succeed(bench, new)
    fail(bench, old)
    assert (image(bench, photos).state, image(bench, photos).error) == ("indexed", None)


def test_a_replacement_that_works_is_taken_though_a_newer_one_failed(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, version("live"))
    good, bad = leased_in_turn(bench, photos, "good", "bad")
    fail(bench, bad)
    assert image(bench, photos).content_hash == "live"
    succeed(bench, good)
    assert image(bench, photos).content_hash == "good"


def test_an_image_fails_with_the_last_of_its_versions(bench: Bench) -> None:
    photos = bench.collection()
    first, second = leased_in_turn(bench, photos, "first", "second")
    fail(bench, second)
    assert (image(bench, photos).state, image(bench, photos).error) == ("pending", None)
    # The id is taken while a version is on its way.
    assert bench.catalogue.jobs.add_items(bench.job(photos, OnExisting.SKIP), [version("third")]).chunk is None
    fail(bench, first)
    assert (image(bench, photos).state, image(bench, photos).error) == ("failed", BROKEN)
    assert bench.catalogue.jobs.add_items(bench.job(photos, OnExisting.SKIP), [version("third")]).chunk is not None


def test_versions_from_before_a_delete_are_not_brought_back_by_a_failure_after_it(bench: Bench) -> None:
    photos = bench.collection()
    [before] = leased_in_turn(bench, photos, "before")
    bench.catalogue.feed_writer.delete(photos.collection_id, ["x"])
    [after] = leased_in_turn(bench, photos, "after")
    fail(bench, after)
    succeed(bench, before)
    assert image(bench, photos).state == "failed"
    assert found(bench, photos) == []


def test_only_so_many_versions_on_their_way_are_remembered(bench: Bench) -> None:
    photos = bench.collection()
    forgotten, remembered, *_ = [
        bench.add(bench.job(photos), version(str(number))) for number in range(MAX_PENDING + 1)
    ]
    succeed(bench, bench.lease(forgotten))
    assert image(bench, photos).state == "pending"
    succeed(bench, bench.lease(remembered))
    assert image(bench, photos).content_hash == "1"
