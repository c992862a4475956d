import pytest

from pixvec.catalogue.interfaces import ChunkProgress, ChunkRef
from pixvec.domain import IngestStage, ItemError, JobState, OnExisting
from tests.contract.catalogues import BROKEN, Bench, item


def test_a_streaming_job_ends_when_it_is_closed_and_its_items_have_ended(bench: Bench) -> None:
    jobs = bench.catalogue.jobs
    job_id = bench.job(bench.collection())
    leased = bench.lease(bench.add(job_id, item(0), item(1), item(2)))
    bench.commit(leased, leased.items[:1], leased.items[1:2])
    jobs.close(job_id)
    assert jobs.get(job_id).state is JobState.RUNNING
    bench.commit(leased, leased.items[2:])
    ended = jobs.get(job_id)
    assert ended.state is JobState.COMPLETED
    assert (ended.total, ended.indexed, ended.failed, ended.queued) == (3, 2, 1, 0)
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.created_at
    assert [position.seq for position in ended.token.positions] == [2]


def test_a_job_left_open_goes_on_running(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    leased = bench.lease(bench.add(job_id, item(0)))
    bench.commit(leased, leased.items)
    assert bench.catalogue.jobs.get(job_id).state is JobState.RUNNING
    bench.catalogue.jobs.close(job_id)
    bench.catalogue.jobs.close(job_id)
    assert bench.catalogue.jobs.get(job_id).state is JobState.COMPLETED


def test_a_job_of_nothing_completes_when_closed(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    bench.catalogue.jobs.close(job_id)
    assert bench.catalogue.jobs.get(job_id).state is JobState.COMPLETED


def test_a_planned_job_runs_once_planned_and_fails_with_its_planner(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    job = jobs.create(photos.collection_id, OnExisting.REPLACE, uri_prefix="file:///pictures")
    assert job.state is JobState.PLANNING
    assert jobs.planned(job.job_id) == ("file:///pictures", -1)
    leased = bench.lease(bench.add(job.job_id, item(41), item(7)))
    assert jobs.planned(job.job_id) == ("file:///pictures", 41)
    assert jobs.unplanned(0.0, 10) == [job.job_id]
    assert jobs.unplanned(600.0, 10) == []
    bench.expire_leases()
    assert jobs.unplanned(600.0, 10) == [job.job_id]
    jobs.close(job.job_id, ItemError("UNAVAILABLE", "the listing broke off", retryable=True))
    assert jobs.get(job.job_id).state is JobState.RUNNING
    assert jobs.unplanned(0.0, 10) == []
    bench.commit(leased, leased.items)
    ended = jobs.get(job.job_id)
    assert ended.state is JobState.FAILED
    assert ended.error == ItemError("UNAVAILABLE", "the listing broke off", retryable=True)
    assert ended.indexed == 2


def test_a_job_fails_once_with_the_first_error(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    job_id = jobs.create(photos.collection_id, OnExisting.REPLACE, uri_prefix="file:///pictures").job_id
    leased = bench.lease(bench.add(job_id, item(0)))
    jobs.close(job_id, ItemError("UNAVAILABLE", "the listing broke off", retryable=True))
    jobs.close(job_id, ItemError("URI_NOT_ALLOWED", "not under a root", retryable=False))
    bench.commit(leased, leased.items)
    jobs.close(job_id, BROKEN)
    assert jobs.get(job_id).error == ItemError("UNAVAILABLE", "the listing broke off", retryable=True)


def test_a_job_that_has_completed_does_not_fail_later(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    bench.catalogue.jobs.close(job_id)
    bench.catalogue.jobs.close(job_id, BROKEN)
    assert bench.catalogue.jobs.get(job_id).state is JobState.COMPLETED


def test_the_same_idempotency_key_is_the_same_job(bench: Bench) -> None:
    jobs, photos, other = bench.catalogue.jobs, bench.collection("a"), bench.collection("b")

    def create(collection_id: int, key: str) -> str:
        return jobs.create(collection_id, OnExisting.SKIP, uri_prefix="file:///x", idempotency_key=key).job_id

    first = create(photos.collection_id, "k")
    assert create(photos.collection_id, "k") == first
    assert create(other.collection_id, "k") != first
    assert create(photos.collection_id, "") != create(photos.collection_id, "")


def test_jobs_are_listed_the_newest_first(bench: Bench) -> None:
    jobs, photos, other = bench.catalogue.jobs, bench.collection("a"), bench.collection("b")
    made = [bench.job(photos) for _ in range(4)]
    elsewhere = bench.job(other)
    assert [job.job_id for job in jobs.page(None, "", 10)] == [elsewhere, *reversed(made)]
    first = jobs.page(photos.collection_id, "", 3)
    second = jobs.page(photos.collection_id, first[-1].job_id, 3)
    assert [job.job_id for job in (*first, *second)] == list(reversed(made))


def test_each_item_is_counted_once_at_its_furthest_stage(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    refs = [bench.add(job_id, *(item(3 * n + k) for k in range(3))) for n in range(4)]
    leased = [bench.lease(ref) for ref in refs]
    jobs.set_stage(refs[0], "worker", IngestStage.DECODED)
    jobs.set_stage(refs[1], "worker", IngestStage.EMBEDDED)
    jobs.set_stage(refs[2], "somebody else", IngestStage.EMBEDDED)
    bench.commit(leased[1], leased[1].items[:2])
    bench.commit(leased[3], leased[3].items[:2], leased[3].items[2:])
    job = jobs.get(job_id)
    counts = (job.total, job.queued, job.decoded, job.embedded, job.indexed, job.failed)
    assert counts == (12, 3, 3, 1, 4, 1)


def test_progress_tells_of_chunks_by_name_or_of_the_open_ones(bench: Bench) -> None:
    jobs, photos = bench.catalogue.jobs, bench.collection()
    job_id, other = bench.job(photos), bench.job(photos)
    refs = [bench.add(job_id, *(item(10 * n + m) for m in range(3))) for n in range(3)]
    leased = [bench.lease(ref) for ref in refs]
    bench.commit(leased[0], leased[0].items)
    bench.commit(leased[1], [], leased[1].items[:1])
    jobs.set_stage(refs[1], "worker", IngestStage.DECODED)
    bench.add(other, item(0, "elsewhere"))
    gone = "00000000-0000-0000-0000-000000000000"
    assert jobs.progress({job_id: [1, 0, 7], other: {0}, gone: [0]}) == {
        job_id: [ChunkProgress(0, IngestStage.INDEXED, 0), ChunkProgress(1, IngestStage.DECODED, 2)],
        other: [ChunkProgress(0, IngestStage.QUEUED, 1)],
    }
    assert jobs.progress({}) == jobs.progress({job_id: []}) == {}
    assert [each.chunk for each in jobs.open_chunks(job_id)] == [1, 2]
    assert jobs.open_chunks(gone) == []


def test_statuses_and_failures_go_by_ordinal(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    first = bench.lease(bench.add(job_id, item(4), item(2), item(9)))
    bench.add(job_id, item(1))
    bench.commit(first, first.items[:1], first.items[1:])
    assert [status.ordinal for status in jobs.statuses(job_id)] == [1, 2, 4, 9]
    assert [status.ordinal for status in jobs.statuses(job_id, [first.ref.chunk])] == [2, 4, 9]
    assert [status.ordinal for status, _ in jobs.failures(job_id, -1, 1)] == [4]
    assert [(status.ordinal, status.error) for status, _ in jobs.failures(job_id, 4, 10)] == [(9, BROKEN)]


def test_silent_work_is_found_and_published_work_is_not(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    refs = [bench.add(job_id, item(n)) for n in range(4)]
    assert jobs.unattended(600.0, 10) == []
    bench.expire_leases()
    assert jobs.unattended(600.0, 10) == refs
    assert jobs.unattended(600.0, 2) == refs[:2]
    leased = bench.lease(refs[0])
    jobs.mark_published([refs[1], ChunkRef(job_id, 99)])
    ended = bench.lease(refs[2])
    bench.commit(ended, ended.items)
    assert jobs.unattended(600.0, 10) == [refs[3]]
    bench.expire_leases()
    assert set(jobs.unattended(600.0, 10)) == {refs[0], refs[1], refs[3]}
    bench.commit(leased, leased.items)
    assert set(jobs.unattended(600.0, 10)) == {refs[1], refs[3]}


def test_work_that_was_begun_and_let_down_is_told_apart(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    refs = [bench.add(job_id, item(n)) for n in range(5)]
    for ref in refs[1:4]:
        bench.lease(ref)
    jobs.release(refs[1], "worker")
    assert jobs.deserted(0.0, 10) == []
    bench.expire_leases()
    assert jobs.deserted(600.0, 10) == refs[2:4]
    assert jobs.deserted(600.0, 1) == refs[2:3]
    assert jobs.unattended(600.0, 10) == refs
    jobs.mark_published(refs[2:3])
    assert jobs.deserted(600.0, 10) == refs[3:4]
    again = bench.lease(refs[3], "another")
    bench.commit(again, again.items)
    assert jobs.deserted(600.0, 10) == []


@pytest.mark.parametrize("limit", [0, 1])
def test_limits_are_kept(bench: Bench, limit: int) -> None:
    job_id = bench.job(bench.collection())
    bench.add(job_id, item(0))
    bench.add(job_id, item(1))
    assert len(bench.catalogue.jobs.unattended(0.0, limit)) == limit
    assert len(bench.catalogue.jobs.page(None, "", limit)) == limit
