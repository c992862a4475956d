"""Jobs that nobody comes back to are closed, jobs of long ago are forgotten; work and images are not."""

import pytest

from pixvec.domain import IngestStage, JobState, OnExisting
from pixvec.errors import FailedPrecondition, JobNotFound
from tests.contract.catalogues import Bench, item

HALF_AN_HOUR_S = 1800.0


def test_a_job_whose_caller_stays_away_is_closed_and_ends(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    leased = bench.lease(bench.add(job_id, item(0), item(1)))
    bench.commit(leased, leased.items[:1], leased.items[1:])
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 10) == []
    assert jobs.get(job_id).state is JobState.RUNNING
    bench.expire_leases()
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 10) == [job_id]
    ended = jobs.get(job_id)
    assert (ended.state, ended.total, ended.indexed, ended.failed) == (JobState.COMPLETED, 2, 1, 1)
    assert ended.ended_at is not None
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 10) == []


def test_a_job_that_was_opened_and_never_used_is_closed(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    bench.expire_leases()
    assert bench.catalogue.jobs.close_abandoned(HALF_AN_HOUR_S, 10) == [job_id]
    assert bench.catalogue.jobs.get(job_id).state is JobState.COMPLETED


def test_a_job_with_open_items_is_left_open(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    ref = bench.add(job_id, item(0))
    bench.expire_leases()
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 10) == []
    leased = bench.lease(ref)
    bench.commit(leased, leased.items)
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 10) == [job_id]


def test_a_job_that_is_touched_or_added_to_is_left_open(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    touched, added_to, silent = bench.job(photos), bench.job(photos), bench.job(photos)
    bench.expire_leases()
    jobs.touch([touched])
    leased = bench.lease(bench.add(added_to, item(0)))
    bench.commit(leased, leased.items)
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 10) == [silent]
    with pytest.raises(FailedPrecondition, match="open a new job"):
        bench.add(silent, item(0))
    bench.add(touched, item(1))


def test_a_job_by_prefix_is_never_taken_for_an_abandoned_one(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    job = jobs.create(photos.collection_id, OnExisting.REPLACE, uri_prefix="file:///pictures")
    bench.expire_leases()
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 10) == []
    assert jobs.get(job.job_id).state is JobState.PLANNING


def test_a_planner_that_was_just_asked_is_given_time(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    job_id = jobs.create(photos.collection_id, OnExisting.REPLACE, uri_prefix="file:///pictures").job_id
    bench.expire_leases()
    assert jobs.unplanned(HALF_AN_HOUR_S, 10) == [job_id]
    jobs.touch([job_id])
    assert jobs.unplanned(HALF_AN_HOUR_S, 10) == []


def test_touching_changes_no_job_that_is_closed_and_minds_none_that_is_gone(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    jobs.close(job_id)
    before = jobs.get(job_id)
    jobs.touch([job_id, "00000000-0000-0000-0000-000000000000"])
    jobs.touch([])
    assert jobs.get(job_id) == before


def test_the_longest_abandoned_are_closed_first_and_no_more_than_asked(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    made = [bench.job(photos) for _ in range(3)]
    bench.expire_leases()
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 2) == made[:2]
    assert jobs.close_abandoned(HALF_AN_HOUR_S, 2) == made[2:]


def test_jobs_of_long_ago_are_forgotten_and_their_images_stay(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    old = bench.job(photos)
    leased = bench.lease(bench.add(old, item(0), item(1)))
    bench.commit(leased, leased.items[:1], leased.items[1:])
    jobs.close(old)
    assert jobs.prune(HALF_AN_HOUR_S, 100) == 0
    bench.expire_leases()
    recent = bench.job(photos)
    jobs.close(recent)
    prune_all(bench, 100)
    with pytest.raises(JobNotFound):
        jobs.get(old)
    assert [job.job_id for job in jobs.page(None, "", 10)] == [recent]
    assert jobs.statuses(old) == []
    assert jobs.failures(old, -1, 10) == []
    assert bench.catalogue.images.get(photos.collection_id, "image-0").state == "indexed"
    assert bench.catalogue.images.get(photos.collection_id, "image-1").state == "failed"
    assert bench.catalogue.collections.count_images(photos.collection_id) == 1


def test_a_job_is_kept_until_long_after_its_last_item_has_ended(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    ref = bench.add(job_id, item(0))
    jobs.close(job_id)
    bench.expire_leases()
    assert jobs.prune(HALF_AN_HOUR_S, 100) == 0
    assert jobs.open_chunks(job_id)[0].stage is IngestStage.QUEUED
    leased = bench.lease(ref)
    bench.commit(leased, leased.items)
    assert jobs.prune(HALF_AN_HOUR_S, 100) == 0
    assert jobs.get(job_id).state is JobState.COMPLETED
    bench.expire_leases()
    prune_all(bench, 100)
    assert jobs.page(None, "", 10) == []


def test_a_job_that_is_open_is_kept_however_old(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    bench.expire_leases()
    assert jobs.prune(0.0, 100) == 0
    assert jobs.get(job_id).state is JobState.RUNNING


def test_pruning_takes_no_more_than_asked_at_a_time(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    for ordinal in range(4):
        bench.index(photos, item(ordinal))
    for job in jobs.page(None, "", 10):
        jobs.close(job.job_id)
    bench.expire_leases()
    assert jobs.prune(HALF_AN_HOUR_S, 1) == 1
    assert prune_all(bench, 3) >= 3
    assert jobs.page(None, "", 10) == []


def test_a_key_is_free_again_once_its_job_is_forgotten(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()

    def create() -> str:
        named = {"uri_prefix": "file:///pictures", "idempotency_key": "nightly"}
        return jobs.create(photos.collection_id, OnExisting.REPLACE, **named).job_id

    first = create()
    jobs.close(first)
    bench.expire_leases()
    assert create() == first
    prune_all(bench, 100)
    assert create() != first


def prune_all(bench: Bench, limit: int) -> int:
    """Prune until nothing is left; return how many rows that were."""
    total = 0
    while removed := bench.catalogue.jobs.prune(HALF_AN_HOUR_S, limit):
        assert removed <= limit
        total += removed
    return total
