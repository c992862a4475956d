"""Models and trainings through the clients, against a fake server."""

import asyncio
from dataclasses import replace

import pytest

from pixvec.client import AsyncClient
from pixvec.client.testing import FakeServer
from pixvec.domain import FittedKind, JobKind, JobState, ModelKind
from pixvec.errors import (
    CollectionNotFound,
    FailedPrecondition,
    InvalidRequest,
    ModelExists,
    ModelNotFound,
    Unavailable,
)


@pytest.fixture
def filled(client):
    client.ingest("photos", [(f"{number}", b"%d" % number) for number in range(5)]).wait()
    return client


def test_a_codebook_is_trained_and_listed(filled, server: FakeServer):
    job = filled.models.train_codebook("photos", "words", words=32, sample_size=4).wait()
    assert job.model == "sift-vlad:words"
    assert (job.info.kind, job.info.state, job.counts.decoded) == (JobKind.TRAINING, JobState.COMPLETED, 4)
    assert filled.get_job(job.job_id) == job.info
    assert filled.get_job(job.job_id).training.size == 32
    *others, listed = filled.models.list()
    assert (listed.name, listed.kind, listed.fitted.kind) == ("sift-vlad:words", ModelKind.FITTED, FittedKind.SIFT_VLAD)
    assert listed.fitted.collection == "photos"
    assert [(each.name, each.available) for each in others] == [("fake", True), ("fake-network", False)]
    assert filled.models.get("words") == filled.models.get("sift-vlad:words") == listed
    (request,) = server.called("CreateTraining")
    assert request.idempotency_key


def test_a_pca_is_of_the_collections_model_or_of_another(filled):
    assert filled.models.fit_pca("photos", "axes").model == "fake+pca:axes"
    job = filled.models.fit_pca("photos", "other", model="resnet50", dim=3, whiten=True)
    assert job.model == "resnet50+pcaw:other"
    assert job.info.training.size == 3


def test_every_page_is_listed(filled, server: FakeServer):
    for number in range(3):
        filled.models.train_codebook("photos", f"words-{number}")
    kept = server.store.models["words-0"]
    server.store.models |= {f"w{number:03}": replace(kept, name=f"w{number:03}") for number in range(120)}
    assert len(list(filled.models.list())) == 125
    assert len(server.called("ListModels")) == 2


def test_a_file_is_registered_and_forgotten(client, tmp_path):
    (tmp_path / "axes.safetensors").write_bytes(b"a fitted file")
    made = client.models.register("axes", tmp_path / "axes.safetensors", kind="pca", base_model="fake")
    assert (made.name, made.fitted.collection, made.source) == ("fake+pca:axes", "", "registered")
    with pytest.raises(ModelExists):
        client.models.register("axes", tmp_path / "axes.safetensors", kind="pca", base_model="fake")
    client.models.delete("fake+pca:axes")
    with pytest.raises(ModelNotFound):
        client.models.delete("axes")
    with pytest.raises(FileNotFoundError):
        client.models.register("axes", tmp_path / "nothing", kind="pca")


def test_what_cannot_be_is_refused(client):
    with pytest.raises(FailedPrecondition, match="'photos' is empty"):
        client.models.train_codebook("photos", "words")
    with pytest.raises(CollectionNotFound):
        client.models.fit_pca("nowhere", "axes")
    with pytest.raises(InvalidRequest, match="kind must be one of sift-bow, sift-vlad, pca, pcaw"):
        client.models.train_codebook("photos", "words", kind="hog")
    with pytest.raises(InvalidRequest, match="size"):
        client.models.train_codebook("photos", "words", words=-1)
    with pytest.raises(ModelNotFound):
        client.models.get("nothing")


def test_a_training_that_failed_says_why(filled, server: FakeServer):
    job = filled.models.train_codebook("photos", "words")
    message = server.store.jobs[job.job_id].message
    message.state, message.error.message = 4, "too few descriptors"
    job._job = replace(job.info, state=JobState.RUNNING)
    with pytest.raises(FailedPrecondition, match="too few descriptors"):
        job.wait()


def test_a_server_that_is_away_for_a_moment_makes_one_training(filled, server: FakeServer):
    server.refuse("CreateTraining", Unavailable("starting"))
    assert filled.models.train_codebook("photos", "words").model == "sift-vlad:words"
    first, second = server.called("CreateTraining")
    assert first == second


def test_the_same_with_an_event_loop(filled, server: FakeServer, tmp_path):
    (tmp_path / "book.safetensors").write_bytes(b"a fitted file")

    async def work():
        async with AsyncClient(server.address) as client:
            job = await client.models.train_codebook("photos", "words", kind="sift-bow")
            assert (await job.wait()).model == "sift-bow:words"
            assert (await client.models.fit_pca("photos", "axes", whiten=True)).model == "fake+pcaw:axes"
            book = await client.models.register("book", tmp_path / "book.safetensors", kind="sift-vlad")
            assert await client.models.get("book") == book
            await client.models.delete("book")
            return [each.name async for each in client.models.list()]

    assert asyncio.run(work()) == ["fake", "fake-network", "fake+pcaw:axes", "sift-bow:words"]
