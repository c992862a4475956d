from concurrent.futures import ThreadPoolExecutor

import pytest

from pixvec.catalogue.interfaces import NewItem
from pixvec.domain import IngestStage, ItemError, OnExisting
from pixvec.errors import FailedPrecondition, JobNotFound
from tests.contract.catalogues import Bench, item


def test_new_items_become_a_chunk_of_open_work(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    added = bench.catalogue.jobs.add_items(job_id, [item(1), item(0)])
    assert added.chunk is not None
    assert [status.ordinal for status in added.statuses] == [0, 1]
    assert all(status.stage is IngestStage.QUEUED and not status.ended for status in added.statuses)
    assert bench.catalogue.jobs.count_open_items() == 2


def test_an_ordinal_is_taken_once(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    bench.add(job_id, item(0), item(1))
    again = bench.catalogue.jobs.add_items(job_id, [item(0), item(1)])
    mixed = bench.catalogue.jobs.add_items(job_id, [item(1, "another id"), item(2), item(2, "twice")])
    assert again.chunk is None
    assert [status.ordinal for status in again.statuses] == [0, 1]
    assert [(status.ordinal, status.image_id) for status in mixed.statuses] == [(1, "image-1"), (2, "image-2")]
    assert bench.catalogue.jobs.get(job_id).total == 3


def test_two_streams_sending_the_same_again_take_each_item_once(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    chunks = [[item(n) for n in range(start, start + 8)] for start in range(0, 64, 4)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda chunk: bench.catalogue.jobs.add_items(job_id, chunk), chunks * 2))
    numbers = [each.chunk for each in added if each.chunk is not None]
    assert len(numbers) == len(set(numbers))
    job = bench.catalogue.jobs.get(job_id)
    assert (job.total, job.queued) == (68, 68)
    assert [status.ordinal for status in bench.catalogue.jobs.statuses(job_id)] == list(range(68))
    assert bench.catalogue.jobs.count_open_items() == 68


def test_the_same_picture_again_needs_no_work(bench: Bench) -> None:
    photos = bench.collection(shards=2)
    given = item(0, attributes={"n": 1, "tags": ["a", "b"]})
    [batch] = bench.index(photos, given)
    added = bench.catalogue.jobs.add_items(bench.job(photos), [given])
    [status] = added.statuses
    assert added.chunk is None
    assert (status.stage, status.unchanged) == (IngestStage.INDEXED, True)
    assert status.position is not None
    assert (status.position.shard, status.position.epoch, status.position.seq) == (batch.shard, batch.epoch, 1)


@pytest.mark.parametrize(
    "changed",
    [
        item(0, content="other bytes"),
        item(0, attributes={"n": 1.0}),
        item(0, attributes={"n": True}),
        NewItem(0, "image-0", {"n": 1}, uri="file:///pictures/0.jpg"),
    ],
    ids=["bytes", "float for integer", "bool for integer", "uri"],
)
def test_a_changed_picture_is_work(bench: Bench, changed: NewItem) -> None:
    photos = bench.collection()
    bench.index(photos, item(0, attributes={"n": 1}))
    bench.add(bench.job(photos), changed)
    stored = bench.catalogue.images.get(photos.collection_id, "image-0")
    assert stored.state == "indexed"
    assert stored.attributes == {"n": 1}
    assert stored.content_hash == "hash of image-0"


def test_the_same_picture_is_work_while_another_version_is_on_its_way(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0))
    bench.add(bench.job(photos), item(0, content="newer"))
    bench.add(bench.job(photos), item(0))


def test_of_one_id_twice_in_a_chunk_the_last_one_counts_for_replace(bench: Bench) -> None:
    photos = bench.collection()
    job_id = bench.job(photos)
    added = bench.catalogue.jobs.add_items(job_id, [item(0, "x", content="old"), item(1, "x", content="new")])
    first, second = added.statuses
    assert (first.stage, first.position, first.unchanged) == (IngestStage.INDEXED, None, False)
    assert second.stage is IngestStage.QUEUED
    assert bench.catalogue.images.get(photos.collection_id, "x").content_hash == "new"


def test_skip_leaves_what_is_there(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0))
    bench.add(bench.job(photos), item(0, "pending"))
    job_id = bench.job(photos, OnExisting.SKIP)
    items = [item(0, content="b"), item(1, "pending"), item(2, "new"), item(3, "new")]
    live, pending, new, repeated = bench.catalogue.jobs.add_items(job_id, items).statuses
    assert live.unchanged
    assert live.position is not None
    assert (pending.stage, pending.unchanged, pending.position) == (IngestStage.INDEXED, True, None)
    assert new.stage is IngestStage.QUEUED
    assert repeated.unchanged


def test_fail_refuses_an_id_that_is_taken(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0))
    job_id = bench.job(photos, OnExisting.FAIL)
    added = bench.catalogue.jobs.add_items(job_id, [item(0), item(1, "new"), item(2, "new")])
    reasons = [status.error and status.error.reason for status in added.statuses]
    assert reasons == ["IMAGE_EXISTS", None, "IMAGE_EXISTS"]
    assert bench.catalogue.images.get(photos.collection_id, "image-0").state == "indexed"


def test_an_id_whose_picture_failed_is_free_again(bench: Bench) -> None:
    photos = bench.collection()
    leased = bench.lease(bench.add(bench.job(photos), item(0)))
    bench.commit(leased, [], leased.items)
    assert bench.catalogue.images.get(photos.collection_id, "image-0").state == "failed"
    bench.add(bench.job(photos, OnExisting.FAIL), item(0))
    assert bench.catalogue.images.get(photos.collection_id, "image-0").state == "pending"


def test_of_many_who_want_a_new_id_one_gets_it(bench: Bench) -> None:
    photos = bench.collection()
    jobs = [bench.job(photos, OnExisting.FAIL) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda job_id: bench.catalogue.jobs.add_items(job_id, [item(0), item(1)]), jobs))
    outcomes = [sum(each.statuses[n].error is None for each in added) for n in range(2)]
    assert outcomes == [1, 1]


@pytest.mark.parametrize(
    "refused",
    [
        item(7, "nul\0byte"),
        item(7, "x" * 513),
        item(7, "half \ud800 a pair"),
        item(7, attributes={"a": "nul\0byte"}),
        item(7, attributes={"a": ["fine", float("nan")]}),
        NewItem(7, "x", {}, uri="file:///a\0b"),
    ],
    ids=["nul", "long", "surrogate", "nul attribute", "nan attribute", "nul uri"],
)
def test_what_cannot_be_stored_fails_alone(bench: Bench, refused: NewItem) -> None:
    job_id = bench.job(bench.collection())
    added = bench.catalogue.jobs.add_items(job_id, [item(6), refused])
    good, bad = added.statuses
    assert not good.ended
    assert bad.error is not None
    assert bad.error.reason == "INVALID_REQUEST"
    assert [status.ordinal for status, _ in bench.catalogue.jobs.failures(job_id, -1, 10)] == [7]
    assert bench.catalogue.jobs.get(job_id).failed == 1


def test_attributes_come_back_as_they_were(bench: Bench) -> None:
    photos = bench.collection()
    given = {"big": 2**62, "float": 1e16, "one": 1.0, "yes": True, "text": "ü\n", "list": [1, "a", False, 0.5]}
    bench.index(photos, item(0, attributes=given))
    found = bench.catalogue.images.attributes(photos.collection_id, ["image-0", "not there"])
    assert repr(sorted(found["image-0"].items())) == repr(sorted(given.items()))
    assert list(found) == ["image-0"]


def test_a_closed_job_takes_nothing_new_but_answers_for_what_it_took(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    bench.add(job_id, item(0))
    bench.catalogue.jobs.close(job_id)
    assert len(bench.catalogue.jobs.add_items(job_id, [item(0)]).statuses) == 1
    with pytest.raises(FailedPrecondition, match="closed"):
        bench.catalogue.jobs.add_items(job_id, [item(1)])


@pytest.mark.parametrize("job_id", ["not a uuid", "00000000-0000-4000-8000-000000000000"])
def test_an_unknown_job_is_said_so(bench: Bench, job_id: str) -> None:
    for call in (
        lambda: bench.catalogue.jobs.get(job_id),
        lambda: bench.catalogue.jobs.add_items(job_id, [item(0)]),
        lambda: bench.catalogue.jobs.planned(job_id),
        lambda: bench.catalogue.jobs.close(job_id, ItemError("X", "y")),
    ):
        with pytest.raises(JobNotFound):
            call()
