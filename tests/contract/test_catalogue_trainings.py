"""Trainings: one job a name, leased as a whole, begun anew when a worker is lost; what comes of one is kept by name."""

from dataclasses import replace

import pytest

from pixvec.domain import (
    Collection,
    FittedKind,
    FittedModel,
    ItemError,
    Job,
    JobKind,
    JobState,
    OnExisting,
    TrainingSpec,
)
from pixvec.errors import (
    CollectionNotFound,
    FailedPrecondition,
    InvalidRequest,
    JobNotFound,
    ModelExists,
    ModelNotFound,
)
from tests.contract.catalogues import SPACE, Bench, item

SPEC = TrainingSpec("words", FittedKind.SIFT_VLAD, 64, 1000)
BROKEN = ItemError("FAILED_PRECONDITION", "too few pictures")


def training(bench: Bench, collection: Collection, spec: TrainingSpec = SPEC, key: str = "") -> Job:
    return bench.catalogue.trainings.create(collection.collection_id, spec, idempotency_key=key)


def fitted(bench: Bench, name: str = "words", kind: FittedKind = FittedKind.SIFT_VLAD) -> FittedModel:
    made = bench.catalogue.collections.create(f"for-{name}", [SPACE], 1).created_at
    base = "" if kind.is_codebook else "resnet50"
    return FittedModel(name, kind, base, 8192, "ab" * 32, f"file of {name}", 32_000, "photos", made)


def test_a_training_is_a_job_like_others(bench: Bench) -> None:
    photos = bench.collection()
    made = training(bench, photos)
    assert (made.kind, made.training, made.state, made.total) == (JobKind.TRAINING, SPEC, JobState.RUNNING, 0)
    assert bench.catalogue.jobs.get(made.job_id) == made
    ingest = bench.catalogue.jobs.get(bench.job(photos))
    assert (ingest.kind, ingest.training) == (JobKind.INGEST, None)
    assert bench.catalogue.jobs.page(photos.collection_id, "", 10) == [ingest, made]


def test_a_training_of_a_collection_that_is_gone_is_refused(bench: Bench) -> None:
    photos = bench.collection()
    bench.catalogue.collections.delete("photos")
    with pytest.raises(CollectionNotFound):
        training(bench, photos)


def test_a_key_makes_one_training(bench: Bench) -> None:
    photos = bench.collection()
    made = training(bench, photos, key="once")
    assert training(bench, photos, key="once") == made
    bench.catalogue.jobs.create(photos.collection_id, OnExisting.REPLACE, idempotency_key="other")
    with pytest.raises(InvalidRequest, match="another kind"):
        training(bench, photos, replace(SPEC, name="more"), key="other")
    with pytest.raises(InvalidRequest, match="another kind"):
        bench.catalogue.jobs.create(photos.collection_id, OnExisting.REPLACE, idempotency_key="once")


def test_a_name_is_taken_by_a_training_until_that_has_failed(bench: Bench) -> None:
    photos, trainings = bench.collection(), bench.catalogue.trainings
    made = training(bench, photos)
    with pytest.raises(ModelExists, match="words"):
        training(bench, photos, replace(SPEC, kind=FittedKind.SIFT_BOW))
    with pytest.raises(ModelExists, match="words"):
        bench.catalogue.models.register(fitted(bench))
    trainings.lease(made.job_id, "w", 60)
    trainings.fail(made.job_id, "w", BROKEN)
    ended = bench.catalogue.jobs.get(made.job_id)
    assert (ended.state, ended.error) == (JobState.FAILED, BROKEN)
    assert ended.ended_at is not None
    training(bench, photos)


def test_a_training_that_completes_leaves_a_model_and_ends_at_once(bench: Bench) -> None:
    photos, trainings = bench.collection(), bench.catalogue.trainings
    made, model = training(bench, photos), fitted(bench)
    leased = trainings.lease(made.job_id, "w", 60)
    assert leased is not None
    assert (leased.spec, leased.attempt, leased.collection.name) == (SPEC, 1, "photos")
    trainings.note(made.job_id, "w", 10, 7, 2)
    shown = bench.catalogue.jobs.get(made.job_id)
    assert (shown.total, shown.queued, shown.decoded, shown.failed) == (10, 1, 7, 2)
    assert trainings.complete(made.job_id, "w", model)
    assert not trainings.complete(made.job_id, "w", model)
    ended = bench.catalogue.jobs.get(made.job_id)
    assert (ended.state, ended.total, ended.decoded, ended.failed) == (JobState.COMPLETED, 10, 7, 2)
    assert bench.catalogue.models.get("words") == model
    with pytest.raises(ModelExists):
        training(bench, photos)


def test_one_worker_at_a_time_has_a_training(bench: Bench) -> None:
    trainings, job_id = bench.catalogue.trainings, training(bench, bench.collection()).job_id
    assert trainings.lease(job_id, "one", 60) is not None
    assert trainings.lease(job_id, "other", 60) is None
    assert trainings.renew(job_id, "one", 60)
    assert not trainings.renew(job_id, "other", 60)
    trainings.note(job_id, "one", 10, 7, 0)
    bench.expire_leases()
    assert not trainings.renew(job_id, "one", 60)
    taken_over = trainings.lease(job_id, "other", 60)
    assert taken_over is not None
    assert taken_over.attempt == 2
    assert bench.catalogue.jobs.get(job_id).decoded == 0
    # What the first one goes on doing changes nothing.
    trainings.note(job_id, "one", 10, 9, 0)
    trainings.fail(job_id, "one", BROKEN)
    trainings.release(job_id, "one")
    assert not trainings.complete(job_id, "one", fitted(bench))
    shown = bench.catalogue.jobs.get(job_id)
    assert (shown.state, shown.decoded) == (JobState.RUNNING, 0)
    with pytest.raises(ModelNotFound):
        bench.catalogue.models.get("words")


def test_a_training_that_takes_its_workers_down_ends_after_three(bench: Bench) -> None:
    trainings, job_id = bench.catalogue.trainings, training(bench, bench.collection()).job_id
    for _ in range(3):
        assert trainings.lease(job_id, "w", 60) is not None
        bench.expire_leases()
    assert trainings.lease(job_id, "w", 60) is None
    ended = bench.catalogue.jobs.get(job_id)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error.reason == "ATTEMPTS_EXHAUSTED"


def test_a_lease_that_is_given_back_costs_no_attempt_and_one_that_is_put_off_does(bench: Bench) -> None:
    trainings, job_id = bench.catalogue.trainings, training(bench, bench.collection()).job_id
    for _ in range(5):
        leased = trainings.lease(job_id, "w", 60)
        assert leased is not None
        assert leased.attempt == 1
        trainings.release(job_id, "w")
    trainings.lease(job_id, "w", 60)
    trainings.put_off(job_id, "w", 600)
    assert trainings.lease(job_id, "w", 60) is None
    bench.expire_leases()
    again = trainings.lease(job_id, "w", 60)
    assert again is not None
    assert again.attempt == 2


def test_a_training_ends_with_its_collection(bench: Bench) -> None:
    trainings, job_id = bench.catalogue.trainings, training(bench, bench.collection()).job_id
    trainings.lease(job_id, "w", 60)
    bench.catalogue.collections.delete("photos")
    assert bench.catalogue.jobs.get(job_id).state is JobState.FAILED
    assert not trainings.renew(job_id, "w", 60)
    assert not trainings.complete(job_id, "w", fitted(bench))
    assert trainings.lease(job_id, "w", 60) is None
    while bench.catalogue.collections.purge(100):
        pass
    with pytest.raises(JobNotFound):
        trainings.lease(job_id, "w", 60)


def test_a_training_that_is_closed_keeps_what_was_counted(bench: Bench) -> None:
    trainings, job_id = bench.catalogue.trainings, training(bench, bench.collection()).job_id
    trainings.lease(job_id, "w", 60)
    trainings.note(job_id, "w", 10, 7, 2)
    bench.catalogue.jobs.close(job_id, BROKEN)
    ended = bench.catalogue.jobs.get(job_id)
    assert (ended.state, ended.total, ended.decoded, ended.failed) == (JobState.FAILED, 10, 7, 2)
    assert ended.ended_at is not None


def test_a_silent_training_is_told_of_and_is_nothing_for_the_upkeep_of_streams(bench: Bench) -> None:
    trainings, photos = bench.catalogue.trainings, bench.collection()
    job_id = training(bench, photos).job_id
    bench.job(photos)
    assert trainings.silent(600, 10) == []
    bench.expire_leases()
    assert trainings.silent(600, 10) == [job_id]
    assert job_id not in bench.catalogue.jobs.close_abandoned(600, 10)
    bench.catalogue.jobs.touch([job_id])
    assert trainings.silent(600, 10) == []
    bench.expire_leases()
    trainings.lease(job_id, "w", 60)
    assert trainings.silent(600, 10) == []
    bench.expire_leases()
    assert trainings.silent(600, 10) == [job_id]
    trainings.lease(job_id, "w", 60)
    trainings.fail(job_id, "w", BROKEN)
    bench.expire_leases()
    assert trainings.silent(600, 10) == []
    assert bench.catalogue.jobs.prune(600, 10) > 0
    with pytest.raises(JobNotFound):
        bench.catalogue.jobs.get(job_id)


def test_a_sample_is_even_and_the_same_each_time(bench: Bench) -> None:
    photos, trainings = bench.collection(shards=3), bench.catalogue.trainings
    bench.index(photos, *(item(number) for number in range(40)))
    bench.add(bench.job(photos), item(99, "on its way"))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    everything = trainings.sample(photos.collection_id, 100)
    assert {each.image_id for each in everything} == {f"image-{number}" for number in range(1, 40)}
    assert everything[0].content_hash == f"hash of {everything[0].image_id}"
    assert trainings.sample(photos.collection_id, 10) == everything[:10]
    # By the md5 of the id, whatever the database's collation.
    assert [each.image_id for each in everything[:3]] == ["image-28", "image-18", "image-27"]


def test_records_are_read_by_image(bench: Bench) -> None:
    photos, trainings = bench.collection(shards=3), bench.catalogue.trainings
    bench.index(photos, *(item(number) for number in range(10)))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    found = trainings.records(photos.collection_id, ["image-0", "image-1", "image-7", "nobody"])
    assert found == {"image-1": b"image-1@1", "image-7": b"image-7@7"}


def test_models_are_kept_by_name(bench: Bench) -> None:
    models = bench.catalogue.models
    made = [fitted(bench, "b"), fitted(bench, "a", FittedKind.PCA_WHITENED), fitted(bench, "c", FittedKind.SIFT_BOW)]
    for each in made:
        models.register(each)
    assert models.page("", 10) == [made[1], made[0], made[2]]
    assert models.page("a", 1) == [made[0]]
    assert models.get("a").model == "resnet50+pcaw:a"
    with pytest.raises(ModelExists, match="'a'"):
        models.register(made[1])
    models.delete("a")
    with pytest.raises(ModelNotFound, match="'a'"):
        models.get("a")
    with pytest.raises(ModelNotFound, match="'a'"):
        models.delete("a")


def test_a_models_file_is_in_use_until_the_model_is_gone(bench: Bench) -> None:
    bench.catalogue.models.register(fitted(bench))
    assert bench.catalogue.images.contents_in_use(["file of words", "nobody's"]) == {"file of words"}
    bench.catalogue.models.delete("words")
    assert bench.catalogue.images.contents_in_use(["file of words"]) == set()


@pytest.mark.parametrize(
    ("text", "is_needed"),
    [
        ("sift-vlad:words", True),
        ("sift-bow:words", True),
        ("sift-vlad:words+pca:other:16", True),
        ("resnet50+flip+pcaw:words", True),
        ("resnet50+pca:words:64", True),
        ("sift-vlad:words-2", False),
        ("resnet50+pca:other-words", False),
        ("timm:words", False),
    ],
)
def test_a_model_that_a_collection_is_made_with_stays(bench: Bench, text: str, is_needed: bool) -> None:
    catalogue, model = bench.catalogue, fitted(bench)
    catalogue.models.register(model)
    catalogue.collections.create("users", [SPACE, replace(SPACE, name="second", model=text)], 1)
    if is_needed:
        with pytest.raises(FailedPrecondition, match="users"):
            catalogue.models.delete("words")
        assert catalogue.models.get("words") == model
        catalogue.collections.delete("users")
    catalogue.models.delete("words")


def test_a_model_that_another_is_fitted_on_stays(bench: Bench) -> None:
    models, trainings = bench.catalogue.models, bench.catalogue.trainings
    models.register(fitted(bench))
    models.register(replace(fitted(bench, "small", FittedKind.PCA), base_model="sift-vlad:words"))
    with pytest.raises(FailedPrecondition, match="small are fitted on 'words'"):
        models.delete("words")
    models.delete("small")
    job_id = training(
        bench, bench.collection(), TrainingSpec("less", FittedKind.PCA, 16, 100, "sift-vlad:words")
    ).job_id
    with pytest.raises(FailedPrecondition, match="less are fitted on 'words'"):
        models.delete("words")
    assert models.get("words").name == "words"
    trainings.lease(job_id, "w", 60)
    trainings.fail(job_id, "w", BROKEN)
    models.delete("words")
