"""Pictures that are the same: linked or rejected, whoever brings them and whenever, and never lost."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from pixvec.catalogue.postgres import duplicates
from pixvec.catalogue.sharding import shard_of
from pixvec.domain import Collection, ImageState, IngestStage, OnDuplicate, OnExisting
from tests.contract.catalogues import REGION_SPACE, SPACE, Bench, embedded, item, region
from tests.contract.duplicates import (
    KEEP,
    LINK,
    LOOKS,
    REJECT,
    commit,
    found,
    image,
    originals,
    picture,
    take_in,
    work_left,
)


@pytest.fixture
def photos(bench: Bench) -> Collection:
    return bench.collection(shards=2)


@pytest.mark.parametrize("content", ["lake", "lake again"])
def test_by_default_duplicates_are_kept(bench: Bench, photos: Collection, content: str) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    [status] = take_in(bench, photos, KEEP, picture("b", content))
    assert (status.duplicate_of, found(bench, photos)) == ("", ["a", "b"])


def test_the_same_bytes_are_linked_without_work(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    job_id = bench.job(photos, on_duplicate=LINK)
    added = bench.catalogue.jobs.add_items(job_id, [item(7, "b", {"of": "me"}, "lake")])
    assert added.chunk is None
    [status] = added.statuses
    assert (status.stage, status.duplicate_of, status.position) == (IngestStage.INDEXED, "a", None)
    linked = image(bench, photos, "b")
    assert (linked.state, linked.duplicate_of, linked.attributes) == (ImageState.LINKED, "a", {"of": "me"})
    assert (linked.width, linked.height, linked.format, linked.content_hash) == (40, 30, "JPEG", "lake")
    assert found(bench, photos) == ["a"]
    assert bench.catalogue.collections.count_images(photos.collection_id) == 1


def test_a_copy_is_linked_when_it_has_been_looked_at(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    [status] = take_in(bench, photos, LINK, picture("b", "lake again"))
    assert (status.stage, status.duplicate_of) == (IngestStage.INDEXED, "a")
    assert image(bench, photos, "b").state is ImageState.LINKED
    assert found(bench, photos) == ["a"]


def test_a_picture_that_differs_in_four_bits_is_another(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    [status] = take_in(bench, photos, LINK, picture("b", "shore"))
    assert (status.duplicate_of, found(bench, photos)) == ("", ["a", "b"])


def test_plain_pictures_are_known_by_their_bytes_alone(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a", "white"))
    statuses = take_in(bench, photos, LINK, picture("b", "grey", 0), picture("c", "white", 1))
    assert [status.duplicate_of for status in statuses] == ["", "a"]


@pytest.mark.parametrize("content", ["lake", "lake again"])
def test_a_duplicate_is_rejected_naming_the_original(bench: Bench, photos: Collection, content: str) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    [status] = take_in(bench, photos, REJECT, picture("b", content))
    assert status.error is not None
    assert status.error.reason == "DUPLICATE_IMAGE"
    assert "'b'" in status.error.message
    assert "'a'" in status.error.message
    assert found(bench, photos) == ["a"]


def test_the_nearest_and_oldest_is_the_original(bench: Bench, photos: Collection) -> None:
    for name, content in (("older", "lake again"), ("same", "lake"), ("younger", "lake")):
        take_in(bench, photos, KEEP, picture(name, content))
    statuses = take_in(bench, photos, LINK, picture("x", "lake", 0), picture("y", "lake again", 1))
    assert [status.duplicate_of for status in statuses] == ["same", "older"]


@pytest.mark.parametrize("content", ["lake", "lake again"])
def test_of_two_in_one_chunk_one_is_written(bench: Bench, photos: Collection, content: str) -> None:
    statuses = take_in(bench, photos, LINK, *(picture(f"p{n}", content, n) for n in range(6)))
    [original] = found(bench, photos)
    assert sorted(status.duplicate_of for status in statuses) == ["", *[original] * 5]
    assert bench.catalogue.collections.count_images(photos.collection_id) == 1


def test_pictures_that_change_places_are_no_duplicates(bench: Bench, photos: Collection) -> None:
    first, second = (next(f"p{n}" for n in range(99) if shard_of(f"p{n}", 2) == shard) for shard in range(2))
    take_in(bench, photos, KEEP, picture(first, "hill", 0), picture(second, "lake", 1))
    statuses = take_in(bench, photos, LINK, picture(first, "lake", 0), picture(second, "hill", 1))
    assert [status.duplicate_of for status in statuses] == ["", ""]
    assert (work_left(bench), found(bench, photos)) == ([], sorted([first, second]))


def test_of_two_shards_the_first_has_the_original(bench: Bench, photos: Collection) -> None:
    first, second = (next(f"p{n}" for n in range(99) if shard_of(f"p{n}", 2) == shard) for shard in range(2))
    statuses = take_in(bench, photos, LINK, picture(second, "lake", 0), picture(first, "lake", 1))
    assert [status.duplicate_of for status in statuses] == [first, ""]


def test_of_many_committed_at_once_one_is_written(bench: Bench, photos: Collection) -> None:
    chunks = [
        bench.lease(bench.add(bench.job(photos, on_duplicate=LINK), picture(f"p{n}", content, n)), f"w{n}")
        for n, content in enumerate(["lake", "lake again"] * 4)
    ]
    threads = [threading.Thread(target=commit, args=(bench, chunk)) for chunk in chunks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [original] = found(bench, photos)
    links = originals(bench, photos, *(f"p{n}" for n in range(8) if f"p{n}" != original))
    assert links == [original] * 7


def test_of_many_rejected_at_once_one_is_written(bench: Bench, photos: Collection) -> None:
    chunks = [
        bench.lease(bench.add(bench.job(photos, on_duplicate=REJECT), picture(f"p{n}", "lake", n)), f"w{n}")
        for n in range(6)
    ]
    threads = [threading.Thread(target=commit, args=(bench, chunk)) for chunk in chunks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [status for chunk in chunks for status in bench.catalogue.jobs.statuses(chunk.ref.job_id)]
    assert len(found(bench, photos)) == 1
    assert [status.error.reason for status in statuses if status.error] == ["DUPLICATE_IMAGE"] * 5
    states = sorted(image(bench, photos, f"p{n}").state for n in range(6))
    assert states == [ImageState.FAILED] * 5 + [ImageState.INDEXED]


@pytest.mark.parametrize("policy", [LINK, REJECT])
def test_an_image_is_no_duplicate_of_itself(bench: Bench, photos: Collection, policy: OnDuplicate) -> None:
    take_in(bench, photos, policy, picture("a"))
    [again] = take_in(bench, photos, policy, picture("a"))
    assert (again.unchanged, again.error, again.duplicate_of) == (True, None, "")
    [other] = take_in(bench, photos, policy, picture("a", "lake again"))
    assert (other.error, other.duplicate_of, image(bench, photos, "a").content_hash) == (None, "", "lake again")
    [new] = take_in(bench, photos, policy, item(0, "a", {"now": "with attributes"}, "lake again"))
    assert (new.error, new.duplicate_of, found(bench, photos)) == (None, "", ["a"])


def test_a_picture_that_becomes_a_duplicate_is_found_no_more(bench: Bench) -> None:
    photos = bench.collection(shards=2)
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, KEEP, picture("b", "hill"))
    assert bench.catalogue.collections.count_images(photos.collection_id) == 2
    [status] = take_in(bench, photos, LINK, picture("b", "lake"))
    assert status.duplicate_of == "a"
    assert status.position is not None
    assert (found(bench, photos), image(bench, photos, "b").state) == (["a"], ImageState.LINKED)
    assert bench.catalogue.collections.count_images(photos.collection_id) == 1


def test_a_rejected_replacement_leaves_the_image_as_it_is(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, KEEP, picture("b", "hill"))
    [status] = take_in(bench, photos, REJECT, picture("b", "lake again"))
    assert status.error is not None
    assert (image(bench, photos, "b").content_hash, found(bench, photos)) == ("hill", ["a", "b"])


def test_the_same_again_is_left_as_it_is_linked(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    [status] = take_in(bench, photos, LINK, picture("b"))
    assert (status.unchanged, status.duplicate_of) == (True, "a")
    job_id = bench.job(photos, OnExisting.SKIP)
    [skipped] = bench.catalogue.jobs.add_items(job_id, [picture("b", "hill")]).statuses
    assert (skipped.unchanged, skipped.duplicate_of) == (True, "a")
    failing = bench.job(photos, OnExisting.FAIL)
    [refused] = bench.catalogue.jobs.add_items(failing, [picture("b", "hill")]).statuses
    assert refused.error is not None
    assert refused.error.reason == "IMAGE_EXISTS"


def test_a_linked_image_can_be_taken_in_for_itself(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    [status] = take_in(bench, photos, KEEP, picture("b"))
    assert (status.unchanged, status.duplicate_of, found(bench, photos)) == (False, "", ["a", "b"])
    assert image(bench, photos, "b").state is ImageState.INDEXED


def test_a_linked_image_is_nobodys_original(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b", "lake again"))
    [status] = take_in(bench, photos, LINK, picture("c", "lake again"))
    assert status.duplicate_of == "a"


def test_a_linked_image_whose_newer_version_fails_stays_linked(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    old = bench.lease(bench.add(bench.job(photos, on_duplicate=LINK), picture("b", "lake again")))
    new = bench.lease(bench.add(bench.job(photos), picture("b", "hill")))
    commit(bench, old)
    bench.commit(new, [], new.items)
    assert (image(bench, photos, "b").state, image(bench, photos, "b").error) == (ImageState.LINKED, None)


def test_a_linked_image_keeps_its_original_until_a_newer_version_works(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b"))
    new = bench.lease(bench.add(bench.job(photos), picture("b", "hill")))
    waiting = image(bench, photos, "b")
    assert (waiting.state, waiting.duplicate_of, waiting.content_hash) == (ImageState.LINKED, "a", "lake")
    bench.commit(new, [], new.items)
    assert (image(bench, photos, "b").state, image(bench, photos, "b").error) == (ImageState.LINKED, None)
    [ref] = bench.catalogue.feed_writer.delete(photos.collection_id, ["a"]).chunks
    commit(bench, bench.lease(ref))
    assert (found(bench, photos), image(bench, photos, "b").content_hash) == (["b"], "lake")


def test_committing_twice_changes_nothing(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    leased = bench.lease(bench.add(bench.job(photos, on_duplicate=LINK), picture("b", "lake again")))
    commit(bench, leased)
    assert commit(bench, leased) == []
    assert originals(bench, photos, "b") == ["a"]


def test_the_bytes_of_linked_images_are_in_use(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b", "lake again"))
    assert bench.catalogue.images.contents_in_use(["lake", "lake again", "hill"]) == {"lake", "lake again"}


def test_pictures_are_looked_up_by_bytes_and_by_looks(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    take_in(bench, photos, LINK, picture("b", "lake again"))
    take_in(bench, photos, KEEP, picture("c", "shore"))
    like = bench.catalogue.images.pictures_like
    found = like(photos.collection_id, "lake", LOOKS["lake"], 10)
    assert [(each.image_id, each.duplicate_of, each.perceptual_hash) for each in found] == [
        ("a", "", LOOKS["lake"]),
        ("b", "a", LOOKS["lake again"]),
    ]
    assert (found[0].width, found[0].height, found[0].content_hash) == (40, 30, "lake")
    assert [each.image_id for each in like(photos.collection_id, "", LOOKS["shore"], 10)] == ["c", "b"]
    assert [each.image_id for each in like(photos.collection_id, "lake again", None, 10)] == ["b"]
    assert [each.image_id for each in like(photos.collection_id, "lake", LOOKS["lake"], 1)] == ["a"]
    assert like(photos.collection_id, "hill", 0, 10) == []
    assert like(photos.collection_id + 1, "lake", LOOKS["lake"], 10) == []


def test_pictures_of_images_that_were_decoded(bench: Bench, photos: Collection) -> None:
    take_in(bench, photos, KEEP, picture("a"))
    bench.add(bench.job(photos), picture("waiting", "hill"))
    found = bench.catalogue.images.pictures(photos.collection_id, ["a", "waiting", "nobody"])
    assert set(found) == {"a"}
    assert found["a"].perceptual_hash == LOOKS["lake"]


def test_a_linked_image_has_no_regions(bench: Bench) -> None:
    with_regions = bench.collection("with regions", spaces=(SPACE, REGION_SPACE))
    for name, content, policy in (("a", "lake", KEEP), ("b", "hill", KEEP), ("b", "lake", LINK)):
        leased = bench.lease(bench.add(bench.job(with_regions, on_duplicate=policy), picture(name, content)))
        done = [replace(embedded(each), regions=(region(0),)) for each in leased.items]
        bench.catalogue.feed_writer.commit(leased, done, [])
    assert [len(bench.catalogue.images.regions(with_regions.collection_id, name)) for name in ("a", "b")] == [1, 0]


_MANY_IMAGES = """
INSERT INTO images (collection_id, image_id, live_generation, content_hash, size_bytes, attributes, perceptual_hash)
SELECT 1, 'image-' || n, n, md5(n::text), 1, '{}', hashint8extended(n, 0) FROM generate_series(1, 20000) n
"""


@pytest.mark.parametrize("statement", [duplicates._ORIGINALS, duplicates._PICTURES_LIKE], ids=["originals", "like"])
def test_no_lookup_reads_through_every_image(database_url: str, statement: str) -> None:
    asked = {"image_ids": ["a"], "hashes": ["lake"], "looks": [1], "passing_over": []}
    if statement is duplicates._PICTURES_LIKE:
        asked = {"content_hash": "lake", "looks": 1, "limit": 1}
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(_MANY_IMAGES))
        connection.execute(text("ANALYZE images"))
        plan = list(connection.execute(text(f"EXPLAIN {statement}"), {"collection_id": 1} | asked).scalars())
    engine.dispose()
    assert not [line for line in plan if "Seq Scan on images" in line]
    assert all(any(f"ix_images_{index}" in line for line in plan) for index in ("content_hash", "band_0", "band_48"))
