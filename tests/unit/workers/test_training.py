"""A training ends with a model that loads anywhere, or with an error that says what to do; a lost worker harms none."""

import hashlib

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded

from pixvec.blobs.store import MemoryBlobStore
from pixvec.catalogue.interfaces import EmbeddedItem, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import FittedKind, JobState, Metric, OnExisting, Space, TrainingSpec
from pixvec.errors import ContentNotFound, ModelNotFound, Unavailable, WeightsUnavailable
from pixvec.jobs.queue import MemoryChunkQueue
from pixvec.rpc.records import encode_record
from pixvec.vision.preprocess import Preprocess
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.pictures import encode, make_jpeg
from tests.scenes import scenes
from workers.batcher import Batcher
from workers.decode_pool import InlineDecoder
from workers.fitted_models import FittedModels
from workers.fitting import Fitting
from workers.sampling import Sampler
from workers.training import TrainingRunner

WORDS = TrainingSpec("words", FittedKind.SIFT_VLAD, 8, 100)
AXES = TrainingSpec("axes", FittedKind.PCA, 4, 100, "color-hsv")
SPACE = Space("image", "color-hsv", 272, Metric.COSINE, load("color-hsv", WeightSource()).digest)


class Host:
    """Loads models that need no weights, and counts."""

    def __init__(self):
        self.asked = 0

    def get(self, name, digest=""):
        self.asked += 1
        return load(name, WeightSource())


class Studio:
    """A trainer over twins in memory, and a collection of scenes, on a clock that a test moves."""

    def __init__(self, batcher, folder, pictures=8):
        self.now = 1_000.0
        self.catalogue = in_memory(lambda: self.now)
        self.blobs, self.queue, self.host = MemoryBlobStore(), MemoryChunkQueue(), Host()
        self.photos = self.catalogue.collections.create("photos", [SPACE], 2)
        for number, scene in enumerate(scenes(range(pictures))):
            self.take_in(f"scene-{number}", encode(scene.picture, "PNG"))
        self.weights = WeightSource(fitted=FittedModels(self.catalogue.models, self.blobs, folder / "fitted").find)
        self.fitting = Fitting(self.catalogue.trainings, Sampler(self.blobs, InlineDecoder()), self.host, batcher)
        self.trainer = self.another("me")

    def another(self, owner):
        parts = self.catalogue.trainings, self.blobs, self.queue, self.fitting, self.weights
        return TrainingRunner(*parts, owner=owner, lease_s=60)

    def take_in(self, name, content, *, vector=None):
        jobs = self.catalogue.jobs
        job_id = jobs.create(self.photos.collection_id, OnExisting.REPLACE).job_id
        content_hash = self.blobs.put(content)
        jobs.add_items(job_id, [NewItem(0, name, {}, content_hash, len(content))])
        chunk = jobs.lease_next(job_id, "ingest", 60)
        vector = np.ones(SPACE.dim) if vector is None else vector
        record = encode_record({"image": (SPACE, vector)}, {})
        made = EmbeddedItem(chunk.items[0], record, content_hash, len(content), "PNG", 1, 1)
        self.catalogue.feed_writer.commit(chunk, [made], [])

    def train(self, spec):
        job_id = self.catalogue.trainings.create(self.photos.collection_id, spec).job_id
        self.trainer.run(job_id)
        return self.catalogue.jobs.get(job_id)


@pytest.fixture
def batcher():
    batcher = Batcher(batch_images=8)
    batcher.start()
    yield batcher
    batcher.close()


@pytest.fixture
def studio(batcher, tmp_path):
    return Studio(batcher, tmp_path)


def test_a_codebook_is_fitted_kept_and_loaded_by_its_name(studio):
    job = studio.train(WORDS)
    assert (job.state, job.error) == (JobState.COMPLETED, None)
    assert (job.total, job.decoded, job.failed) == (8, 8, 0)
    model = studio.catalogue.models.get("words")
    assert (model.dim, model.collection, model.model) == (8 * 128, "photos", "sift-vlad:words")
    assert hashlib.sha256(studio.blobs.get(model.content_hash)).hexdigest() == model.content_hash
    loaded = load("sift-vlad:words", studio.weights)
    assert (loaded.digest, loaded.dim) == (model.digest, model.dim)
    # The same codebook counts words too.
    assert load("sift-bow:words", studio.weights).dim == 8


def test_the_same_training_again_makes_the_same_file(studio):
    studio.train(WORDS)
    first = studio.catalogue.models.get("words")
    studio.catalogue.models.delete("words")
    studio.train(WORDS)
    assert studio.catalogue.models.get("words").content_hash == first.content_hash


def test_a_pca_is_fitted_on_stored_vectors_where_there_are_any(batcher, tmp_path):
    studio = Studio(batcher, tmp_path, pictures=0)
    rng = np.random.default_rng(0)
    directions = np.eye(SPACE.dim)[:4]
    for number in range(30):
        studio.take_in(f"{number}", b"never looked at", vector=rng.normal(size=4) @ directions + 0.1)
    job = studio.train(AXES)
    assert (job.state, job.total, job.decoded) == (JobState.COMPLETED, 30, 30)
    assert studio.host.asked == 0
    model = studio.catalogue.models.get("axes")
    assert (model.model, model.dim) == ("color-hsv+pca:axes", 4)
    loaded = load("color-hsv+pca:axes", studio.weights)
    assert loaded.digest == model.digest
    assert load("color-hsv+pcaw:axes:2", studio.weights).dim == 2


def test_a_pca_of_another_model_is_fitted_on_the_pictures(studio):
    job = studio.train(TrainingSpec("axes", FittedKind.PCA_WHITENED, 3, 100, "lbp"))
    assert (job.state, job.decoded, job.error) == (JobState.COMPLETED, 8, None)
    assert load("lbp+pcaw:axes", studio.weights).dim == 3


def test_vectors_that_the_feed_has_no_more_are_made_again(studio, monkeypatch):
    monkeypatch.setattr(studio.catalogue.trainings, "records", lambda *_: {})
    job = studio.train(TrainingSpec("axes", FittedKind.PCA, 3, 100, "color-hsv"))
    assert (job.state, job.decoded) == (JobState.COMPLETED, 8)


def test_an_empty_collection_and_too_few_pictures_are_told_of(batcher, tmp_path):
    studio = Studio(batcher, tmp_path, pictures=0)
    job = studio.train(WORDS)
    assert job.state is JobState.FAILED
    assert "'photos' is empty: ingest pictures first" in job.error.message
    studio.take_in("one", encode(next(scenes(range(1))).picture, "PNG"))
    assert "ingest more pictures, or ask for" in studio.train(WORDS).error.message
    assert "1 vectors have no 4 components" in studio.train(AXES).error.message
    with pytest.raises(ModelNotFound):
        studio.catalogue.models.get("words")


def test_pictures_that_are_gone_or_broken_are_counted_and_passed_over(studio):
    studio.take_in("broken", make_jpeg(1)[:500])
    studio.take_in("gone", b"somewhere")
    studio.blobs.remove(next(name for name in studio.blobs._blobs if studio.blobs.get_named(name) == b"somewhere"))
    job = studio.train(WORDS)
    assert (job.state, job.total, job.decoded, job.failed) == (JobState.COMPLETED, 10, 8, 2)


def test_a_worker_that_is_to_stop_gives_the_training_to_another(studio):
    decode = InlineDecoder.decode

    def stop_midway(self, content, preprocess, *, priority=False):
        studio.trainer.stop()
        return decode(self, content, preprocess, priority=priority)

    studio.fitting._sampler._decoder.decode = stop_midway.__get__(InlineDecoder())
    job = studio.train(WORDS)
    assert job.state is JobState.RUNNING
    assert studio.queue.take_training() == job.job_id
    del studio.fitting._sampler._decoder.decode
    # Its own message comes back to it.
    studio.trainer.run(job.job_id)
    assert studio.queue.take_training() == job.job_id
    assert studio.catalogue.jobs.get(job.job_id).state is JobState.RUNNING
    studio.another("other").run(job.job_id)
    assert studio.catalogue.jobs.get(job.job_id).state is JobState.COMPLETED


def test_a_training_that_a_lost_worker_had_begun_is_begun_anew(studio):
    trainings = studio.catalogue.trainings
    job_id = trainings.create(studio.photos.collection_id, WORDS).job_id
    trainings.lease(job_id, "a worker that dies", 60)
    trainings.note(job_id, "a worker that dies", 8, 5, 0)
    studio.trainer.run(job_id)
    assert studio.catalogue.jobs.get(job_id).decoded == 5
    studio.now += 61
    studio.trainer.run(job_id)
    job = studio.catalogue.jobs.get(job_id)
    assert (job.state, job.decoded) == (JobState.COMPLETED, 8)


def test_what_another_worker_has_taken_over_is_not_registered(studio, monkeypatch):
    fit = studio.fitting.fit

    def slow_fit(*args):
        path = fit(*args)
        studio.now += 61
        assert studio.catalogue.trainings.lease(args[0].job_id, "quicker", 60) is not None
        return path

    monkeypatch.setattr(studio.fitting, "fit", slow_fit)
    assert studio.train(WORDS).state is JobState.RUNNING
    with pytest.raises(ModelNotFound):
        studio.catalogue.models.get("words")


def test_a_passing_trouble_puts_the_training_off_and_the_last_one_ends_it(studio, monkeypatch):
    def down(_):
        raise Unavailable("no blob store")

    monkeypatch.setattr(studio.blobs, "get", down)
    job = studio.train(WORDS)
    for rest_s in (20, 80):
        assert studio.catalogue.jobs.get(job.job_id).state is JobState.RUNNING
        studio.trainer.run(job.job_id)
        studio.now += rest_s + 1
        studio.trainer.run(job.job_id)
    ended = studio.catalogue.jobs.get(job.job_id)
    assert (ended.state, ended.error.message) == (JobState.FAILED, "no blob store")


def test_a_sample_goes_on_though_how_far_it_came_cannot_be_noted(studio, monkeypatch):
    def down(*_):
        raise Unavailable("no catalogue")

    monkeypatch.setattr(studio.catalogue.trainings, "note", down)
    assert studio.train(WORDS).state is JobState.COMPLETED


@pytest.mark.parametrize(
    ("error", "message"),
    [(SoftTimeLimitExceeded(), "smaller sample"), (WeightsUnavailable("no weights for it"), "no weights for it")],
)
def test_what_would_not_pass_ends_the_training(studio, monkeypatch, error, message):
    def fail(*_):
        raise error

    monkeypatch.setattr(studio.fitting, "fit", fail)
    job = studio.train(WORDS)
    assert job.state is JobState.FAILED
    assert message in job.error.message


def test_a_trouble_that_nobody_foresaw_is_tried_again(studio, monkeypatch):
    def fail(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr(studio.fitting, "fit", fail)
    assert studio.train(WORDS).state is JobState.RUNNING


def test_sampled_pictures_come_in_order_and_few_are_on_their_way(studio):
    images = studio.catalogue.trainings.sample(studio.photos.collection_id, 100)
    asked = iter(images * 20)
    pictures = studio.fitting._sampler.pictures(asked, Preprocess(8, 8))
    first = [next(pictures).pixels for _ in range(2)]
    assert len(list(asked)) > 100
    pictures.close()
    contents = [studio.blobs.get(each.content_hash) for each in images[:2]]
    for pixels, content in zip(first, contents, strict=True):
        assert np.array_equal(pixels, InlineDecoder().decode(content, Preprocess(8, 8)).result().pixels)


class TestFittedModels:
    def test_a_name_that_nothing_has_is_nobodys(self, studio, tmp_path):
        assert FittedModels(studio.catalogue.models, studio.blobs, tmp_path).find("nothing") is None
        with pytest.raises(WeightsUnavailable, match="pixvec train"):
            load("sift-vlad:nothing", studio.weights)
        with pytest.raises(WeightsUnavailable, match="pixvec train"):
            load("lbp+pca:../nothing", studio.weights)

    def test_a_file_is_fetched_once_and_again_when_it_was_damaged(self, studio, tmp_path, monkeypatch):
        studio.train(WORDS)
        fitted, blobs = FittedModels(studio.catalogue.models, studio.blobs, tmp_path / "cache"), studio.blobs
        path = fitted.find("words")
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        assert fitted.find("words").read_bytes() == content
        get = blobs.get
        monkeypatch.setattr(blobs, "get", None)
        assert fitted.find("words") == path
        monkeypatch.setattr(blobs, "get", lambda content_hash: get(content_hash) + b"!")
        path.unlink()
        with pytest.raises(WeightsUnavailable, match="damaged in the blob store"):
            fitted.find("words")
        assert not path.exists()

    def test_a_file_that_is_gone_is_told_of(self, studio, tmp_path, monkeypatch):
        studio.train(WORDS)

        def gone(_):
            raise ContentNotFound("gone")

        monkeypatch.setattr(studio.blobs, "get", gone)
        with pytest.raises(WeightsUnavailable, match="no file of model 'words'"):
            FittedModels(studio.catalogue.models, studio.blobs, tmp_path / "cache").find("words")
