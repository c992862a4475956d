import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pixvec.domain import IndexKind, IndexSettings, OnExisting, VectorStorage
from pixvec.errors import (
    CollectionExists,
    CollectionNotFound,
    ImageNotFound,
    JobNotFound,
    SpaceNotFound,
)
from tests.contract.catalogues import SPACE, Bench, item


def test_a_collection_is_found_by_name_and_by_id(bench: Bench) -> None:
    made = bench.collection("photos", shards=3)
    assert made.spaces == (SPACE,)
    assert made.shard_count == 3
    assert made.created_at.tzinfo is not None
    assert bench.catalogue.collections.get("photos") == made
    assert bench.catalogue.collections.get_by_id(made.collection_id) == made


TUNED = IndexSettings(IndexKind.HNSW, VectorStorage.FLOAT32, 48, 200, 77)


def test_index_settings_are_kept(bench: Bench) -> None:
    spaces = [SPACE, replace(SPACE, name="other", index=TUNED, takes_text=True)]
    made = bench.catalogue.collections.create("photos", spaces, 1)
    assert made.spaces == tuple(spaces)
    assert bench.catalogue.collections.get("photos") == made
    bench.catalogue.topology.heartbeat("a", "a:1", [], lease_s=60.0)
    bench.catalogue.topology.rebalance(1)
    [assignment] = bench.catalogue.topology.assignments("a")
    assert assignment.collection == made


def test_index_settings_change_of_one_space_or_of_all(bench: Bench) -> None:
    collections = bench.catalogue.collections
    made = collections.create("photos", [SPACE, replace(SPACE, name="other", index=TUNED)], 1)
    changed = collections.change_index("photos", "other", lambda settings: replace(settings, nlist=5))
    assert changed == replace(made, spaces=(SPACE, replace(SPACE, name="other", index=replace(TUNED, nlist=5))))
    assert collections.get("photos") == changed
    collections.change_index("photos", "", lambda settings: replace(settings, kind=IndexKind.FLAT))
    kinds = [(space.index.kind, space.index.nlist) for space in collections.get("photos").spaces]
    assert kinds == [(IndexKind.FLAT, 0), (IndexKind.FLAT, 5)]


def test_index_settings_of_what_is_not_there_cannot_change(bench: Bench) -> None:
    bench.collection("photos")
    with pytest.raises(CollectionNotFound, match="nope"):
        bench.catalogue.collections.change_index("nope", "", lambda settings: settings)
    with pytest.raises(SpaceNotFound, match="it has image") as caught:
        bench.catalogue.collections.change_index("photos", "nope", lambda settings: settings)
    assert caught.value.field == "space"


def test_two_changes_at_once_lose_nothing(bench: Bench) -> None:
    bench.collection("photos")
    barrier = threading.Barrier(2)

    def change(fields: dict[str, int]) -> None:
        barrier.wait()
        bench.catalogue.collections.change_index("photos", "", lambda settings: replace(settings, **fields))

    for turn in range(1, 6):
        with ThreadPoolExecutor(2) as pool:
            for ended in [pool.submit(change, {name: turn}) for name in ("hnsw_m", "nlist")]:
                ended.result()
        [space] = bench.catalogue.collections.get("photos").spaces
        assert (space.index.hnsw_m, space.index.nlist) == (turn, turn)


def test_a_name_is_taken_once(bench: Bench) -> None:
    bench.collection("photos")
    with pytest.raises(CollectionExists, match="photos"):
        bench.collection("photos")


def test_what_is_not_there_is_said_so(bench: Bench) -> None:
    with pytest.raises(CollectionNotFound, match="nope"):
        bench.catalogue.collections.get("nope")
    with pytest.raises(CollectionNotFound):
        bench.catalogue.collections.get_by_id(4711)
    with pytest.raises(CollectionNotFound):
        bench.catalogue.collections.delete("nope")


def test_pages_go_by_name(bench: Bench) -> None:
    for name in ("b", "a", "d", "c"):
        bench.collection(name)
    first = bench.catalogue.collections.page("", 2)
    second = bench.catalogue.collections.page(first[-1].name, 5)
    assert [each.name for each in (*first, *second)] == ["a", "b", "c", "d"]


def test_images_that_can_be_found_are_counted(bench: Bench) -> None:
    photos = bench.collection(shards=2)
    bench.add(bench.job(photos), item(0, "pending"))
    bench.index(photos, *(item(n) for n in range(10)))
    bench.index(photos, item(0, content="newer"))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-1", "pending"])
    assert bench.catalogue.collections.count_images(photos.collection_id) == 9


def test_a_deleted_collection_is_out_of_sight_and_its_name_free(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(1))
    bench.catalogue.collections.delete("photos")
    with pytest.raises(CollectionNotFound):
        bench.catalogue.collections.get("photos")
    with pytest.raises(CollectionNotFound):
        bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 10)
    with pytest.raises(CollectionNotFound):
        bench.catalogue.feed_writer.delete(photos.collection_id, ["image-1"])
    with pytest.raises(CollectionNotFound):
        bench.catalogue.jobs.create(photos.collection_id, OnExisting.REPLACE)
    again = bench.collection("photos")
    assert again.collection_id != photos.collection_id
    assert bench.catalogue.collections.count_images(again.collection_id) == 0


def test_deleting_a_collection_fails_its_open_jobs_with_their_items(bench: Bench) -> None:
    photos = bench.collection()
    job_id = bench.job(photos)
    ref = bench.add(job_id, item(0), item(1), item(2))
    leased = bench.lease(ref)
    bench.commit(leased, leased.items[:1])
    bench.catalogue.collections.delete("photos")

    job = bench.catalogue.jobs.get(job_id)
    assert (job.state, job.total, job.indexed, job.failed, job.queued) == ("failed", 3, 1, 2, 0)
    assert job.error is not None
    assert job.error.reason == "COLLECTION_NOT_FOUND"
    assert job.ended_at is not None
    assert [status.ended for status in bench.catalogue.jobs.statuses(job_id)] == [True, True, True]
    assert [status.ordinal for status, _ in bench.catalogue.jobs.failures(job_id, -1, 10)] == [1, 2]
    assert bench.commit(leased, leased.items[1:]) == []
    assert not bench.catalogue.jobs.renew(ref, "worker", 60)
    bench.expire_leases()
    assert bench.catalogue.jobs.lease_chunk(ref, "other", 60) is None
    assert bench.catalogue.jobs.unattended(0, 10) == []
    assert bench.catalogue.jobs.count_open_items() == 0
    with pytest.raises(CollectionNotFound, match="collection 'photos' was deleted while pictures were taken in"):
        bench.catalogue.jobs.add_items(job_id, [item(9)])


def test_purging_frees_deleted_collections_and_nothing_else(bench: Bench) -> None:
    gone, kept = bench.collection("gone", shards=2), bench.collection("kept")
    job_id = bench.job(gone)
    bench.add(job_id, *(item(n) for n in range(5)))
    bench.index(gone, *(item(n) for n in range(8)))
    bench.index(kept, item(1))
    bench.catalogue.collections.delete("gone")

    rounds = 0
    while removed := bench.catalogue.collections.purge(3):
        assert removed <= 3
        rounds += 1
    assert rounds > 2
    with pytest.raises(JobNotFound):
        bench.catalogue.jobs.get(job_id)
    with pytest.raises(ImageNotFound):
        bench.catalogue.images.get(gone.collection_id, "image-1")
    assert bench.catalogue.images.get(kept.collection_id, "image-1").state == "indexed"
    assert len(bench.catalogue.feed_reader.read(kept.collection_id, 0, 0, 10).entries) == 1
