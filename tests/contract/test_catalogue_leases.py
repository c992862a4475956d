from concurrent.futures import ThreadPoolExecutor

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.domain import IngestStage
from tests.contract.catalogues import Bench, item


def test_a_chunk_is_leased_to_one_worker(bench: Bench) -> None:
    photos = bench.collection()
    ref = bench.add(bench.job(photos), item(1, attributes={"a": 1}), item(0))
    leased = bench.lease(ref, "first")
    assert leased.collection == photos
    assert [(each.ordinal, each.attempt) for each in leased.items] == [(0, 1), (1, 1)]
    assert leased.items[1].attributes == {"a": 1}
    assert bench.catalogue.jobs.lease_chunk(ref, "second", 60.0) is None
    assert bench.catalogue.jobs.lease_chunk(ref, "first", 60.0) is None


def test_what_is_not_there_cannot_be_leased(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    assert bench.catalogue.jobs.lease_chunk(ChunkRef(job_id, 0), "w", 60.0) is None
    assert bench.catalogue.jobs.lease_next(job_id, "w", 60.0) is None


def test_workers_that_ask_for_the_next_chunk_each_get_another(bench: Bench) -> None:
    job_id = bench.job(bench.collection())
    refs = [bench.add(job_id, item(n)) for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        leased = list(pool.map(lambda n: bench.catalogue.jobs.lease_next(job_id, f"w{n}", 60.0), range(14)))
    assert sorted(each.ref.chunk for each in leased if each) == [ref.chunk for ref in refs]
    assert leased.count(None) == 2


def test_an_expired_lease_goes_to_another_and_is_lost_to_the_first(bench: Bench) -> None:
    jobs, ref = bench.catalogue.jobs, bench.add(bench.job(bench.collection()), item(0))
    bench.lease(ref, "first")
    assert jobs.renew(ref, "first", 60.0)
    bench.expire_leases()
    again = bench.lease(ref, "second")
    assert again.items[0].attempt == 2
    assert not jobs.renew(ref, "first", 60.0)
    jobs.set_stage(ref, "first", IngestStage.EMBEDDED)
    jobs.release(ref, "first")
    assert jobs.open_chunks(ref.job_id)[0].stage is IngestStage.QUEUED
    assert jobs.renew(ref, "second", 60.0)


def test_a_lease_given_back_costs_no_attempt(bench: Bench) -> None:
    jobs, ref = bench.catalogue.jobs, bench.add(bench.job(bench.collection()), item(0), item(1))
    for _ in range(5):
        assert [each.attempt for each in bench.lease(ref).items] == [1, 1]
        jobs.release(ref, "worker")


def test_a_chunk_that_is_put_off_rests_and_its_attempt_counts(bench: Bench) -> None:
    jobs, ref = bench.catalogue.jobs, bench.add(bench.job(bench.collection()), item(0), item(1))
    for attempt in (1, 2):
        leased = bench.lease(ref)
        assert [each.attempt for each in leased.items] == [attempt, attempt]
        jobs.set_stage(ref, "worker", IngestStage.DECODED)
        jobs.put_off(ref, "worker", 600.0)
        assert not jobs.renew(ref, "worker", 60.0)
        assert jobs.progress({ref.job_id: [0]})[ref.job_id][0].stage is IngestStage.QUEUED
        assert jobs.lease_chunk(ref, "another", 60.0) is None
        assert jobs.lease_next(ref.job_id, "another", 60.0) is None
        assert jobs.unattended(-1.0, 10) == []
        bench.expire_leases()
        # Its message was taken: it has to be published again.
        assert jobs.unattended(-1.0, 10) == jobs.deserted(-1.0, 10) == [ref]


def test_only_who_holds_a_lease_can_put_its_chunk_off(bench: Bench) -> None:
    jobs, ref = bench.catalogue.jobs, bench.add(bench.job(bench.collection()), item(0))
    bench.lease(ref, "first")
    bench.expire_leases()
    bench.lease(ref, "second")
    jobs.put_off(ref, "first", 600.0)
    assert jobs.renew(ref, "second", 60.0)


def test_the_item_that_takes_its_worker_down_ends_and_the_others_go_on(bench: Bench) -> None:
    """Items 0 and 2 are sound, 1 and 3 kill the process that decodes them; from the second attempt on a worker takes
    one after the other."""
    jobs, photos = bench.catalogue.jobs, bench.collection()
    job_id = bench.job(photos)
    ref = bench.add(job_id, *(item(n) for n in range(4)))
    leases = 0
    while (leased := jobs.lease_chunk(ref, f"worker-{leases}", 60.0)) is not None:
        leases += 1
        assert leases < 20
        if leased.items[0].attempt > 1:
            for each in leased.items:
                if each.ordinal in (1, 3):
                    break
                bench.commit(leased, [each])
        bench.expire_leases()
    outcomes = {status.ordinal: status.error and status.error.reason for status in jobs.statuses(job_id)}
    assert outcomes == {0: None, 1: "ATTEMPTS_EXHAUSTED", 2: None, 3: "ATTEMPTS_EXHAUSTED"}
    assert bench.catalogue.images.get(photos.collection_id, "image-1").state == "failed"
    assert bench.catalogue.images.get(photos.collection_id, "image-2").state == "indexed"
    jobs.close(job_id)
    assert jobs.get(job_id).state == "completed"


def test_lease_next_passes_over_a_chunk_that_is_spent(bench: Bench) -> None:
    jobs, job_id = bench.catalogue.jobs, bench.job(bench.collection())
    spent, fresh = bench.add(job_id, item(0)), bench.add(job_id, item(1))
    for n in range(3):
        bench.lease(spent, f"w{n}")
        bench.expire_leases()
    leased = jobs.lease_next(job_id, "last", 60.0)
    assert leased is not None
    assert leased.ref == fresh
    assert jobs.progress({job_id: [spent.chunk]})[job_id][0].ended


def test_a_lease_is_held_until_the_chunks_last_item_has_ended(bench: Bench) -> None:
    ref = bench.add(bench.job(bench.collection()), item(0), item(1))
    leased = bench.lease(ref)
    bench.commit(leased, leased.items[:1])
    assert bench.catalogue.jobs.renew(ref, "worker", 60.0)
    bench.commit(leased, leased.items[1:])
    assert not bench.catalogue.jobs.renew(ref, "worker", 60.0)
    bench.expire_leases()
    assert bench.catalogue.jobs.lease_chunk(ref, "other", 60.0) is None
