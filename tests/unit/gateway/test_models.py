"""Models are listed with those that were fitted; trainings that cannot succeed are refused at once."""

import hashlib

import pytest
from protovalidate import ValidationError, validate

from pixvec.api.v1 import image_service_pb2
from pixvec.api.v1 import job_service_pb2 as jobs_pb
from pixvec.api.v1 import model_service_pb2 as pb
from pixvec.catalogue.interfaces import NewItem
from pixvec.domain import Metric, RegionSettings, Space
from pixvec.errors import (
    CollectionNotFound,
    EmbedderUnavailable,
    FailedPrecondition,
    InvalidRequest,
    ModelExists,
    ModelNotFound,
    Unavailable,
    WeightsUnavailable,
)
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import ResolvedModel
from services.gateway.ingest_jobs import IngestJobs
from services.gateway.job_service import JobService
from services.gateway.model_service import ModelService
from services.gateway.models import Models
from services.gateway.trainings import Trainings
from tests.in_loop import in_loop
from tests.unit.gateway.writing import FakeContext, WriteSide

CONTEXT = FakeContext()
VLAD, PCA = pb.FITTED_KIND_SIFT_VLAD, pb.FITTED_KIND_PCA


class Side(WriteSide):
    """A gateway with a collection `photos` of `images` images, and its services of models and jobs."""

    def __init__(self, images=0):
        super().__init__()
        self.embedder.models["deep"] = ResolvedModel("deep", 16, "ef" * 32, takes_text=True)
        files = BlockingCalls("files", 1)
        self.models = ModelService(Models(self.catalogue.models, self.embedder, self.blobs, self.sql, files))
        jobs = IngestJobs(self.directory, self.jobs, self.sources, self.publisher, self.sql, files)
        trainings = Trainings(self.directory, self.catalogue, self.embedder, self.publisher, self.sql)
        self.job_service = JobService(jobs, trainings, self.closing)
        if images:
            job_id = self.jobs.create(self.collection.collection_id, "replace").job_id
            items = [NewItem(number, f"i{number}", {}, content_hash="ab") for number in range(images)]
            self.jobs.add_items(job_id, items)
            self.work()

    async def train(self, **fields):
        fields = {"collection": "photos", "name": "words", "kind": VLAD} | fields
        return (await self.job_service.CreateTraining(jobs_pb.CreateTrainingRequest(**fields), CONTEXT)).job

    async def register(self, **fields):
        fields = {"name": "words", "kind": VLAD, "content": b"a fitted file"} | fields
        return (await self.models.RegisterModel(pb.RegisterModelRequest(**fields), CONTEXT)).model

    async def listed(self):
        return (await self.models.ListModels(pb.ListModelsRequest(), CONTEXT)).models


@in_loop
async def test_a_training_is_made_and_a_worker_asked_for():
    side = Side(images=3)
    job = await side.train()
    assert (job.kind, job.state) == (jobs_pb.JOB_KIND_TRAINING, jobs_pb.JOB_STATE_RUNNING)
    training = job.training
    assert (training.name, training.size, training.sample_size, training.model) == (
        "words", 64, 1000, "sift-vlad:words",
    )  # fmt: skip
    assert side.queue.trainings == [job.job_id]
    again = await side.job_service.GetJob(jobs_pb.GetJobRequest(job_id=job.job_id), CONTEXT)
    assert again.job == job
    listed = await side.job_service.ListJobs(jobs_pb.ListJobsRequest(collection="photos"), CONTEXT)
    assert [each.kind for each in listed.jobs] == [jobs_pb.JOB_KIND_TRAINING, jobs_pb.JOB_KIND_INGEST]


@in_loop
async def test_a_pca_is_of_the_collections_vectors_or_of_another_models():
    side = Side(images=9)
    own = (await side.train(name="own", kind=PCA)).training
    assert (own.base_model, own.size, own.sample_size, own.model) == ("fake", 8, 10_000, "fake+pca:own")
    assert "resolve_model" not in side.embedder.calls
    other = (await side.train(name="other", kind=pb.FITTED_KIND_PCA_WHITENED, model="deep", size=4)).training
    assert (other.base_model, other.size, other.model) == ("deep", 4, "deep+pcaw:other")


@in_loop
async def test_vectors_of_regions_are_not_what_a_pca_is_of():
    side = Side()
    regions = Space("region", "words", 8, Metric.COSINE, "cd" * 32, regions=RegionSettings("words"))
    whole = Space("image", "fake", 8, Metric.COSINE, "ab" * 32)
    side.catalogue.collections.create("things", [regions, whole], 1)
    with pytest.raises(FailedPrecondition, match="'things' is empty"):
        await side.train(collection="things", kind=PCA)


@in_loop
async def test_the_same_key_makes_one_training():
    side = Side(images=3)
    first, second = [await side.train(idempotency_key="k") for _ in range(2)]
    assert first.job_id == second.job_id


@in_loop
async def test_a_broker_that_is_down_is_left_to_the_sweeper():
    side = Side(images=3)
    side.queue.error = Unavailable("down")
    job = await side.train()
    assert side.catalogue.trainings.silent(-1, 10) == [job.job_id]


@pytest.mark.parametrize(
    ("images", "fields", "error", "message"),
    [
        (0, {}, FailedPrecondition, "'photos' is empty: ingest pictures first"),
        (0, {"kind": PCA}, FailedPrecondition, "'photos' is empty: ingest pictures first"),
        (3, {"kind": PCA, "size": 3}, FailedPrecondition, "3 pictures of 'photos' are too few for 3 components"),
        (9, {"kind": PCA, "size": 4, "sample_size": 4}, FailedPrecondition, "a larger sample"),
        (9, {"kind": PCA, "size": 9}, InvalidRequest, "have 8 numbers, not 9"),
        (9, {"kind": PCA, "model": "fake+pcaw:other"}, InvalidRequest, "has a PCA already"),
        (9, {"kind": PCA, "model": "nothing"}, ModelNotFound, "nothing"),
        (3, {"model": "deep"}, InvalidRequest, "leave the model 'deep' out"),
        (3, {"size": 1}, InvalidRequest, "2 words at least"),
        (3, {"size": 4096}, InvalidRequest, "524,288 numbers: ask for 512 words at most"),
        (3, {"collection": "nowhere"}, CollectionNotFound, "nowhere"),
    ],
)
def test_what_cannot_succeed_makes_no_job(images, fields, error, message):
    @in_loop
    async def refused():
        side = Side(images)
        with pytest.raises(error, match=message):
            await side.train(**fields)
        assert side.queue.trainings == []

    refused()


@in_loop
async def test_a_name_is_taken_by_a_training_and_by_a_model():
    side = Side(images=3)
    await side.train()
    with pytest.raises(ModelExists, match="'words'"):
        await side.train(kind=pb.FITTED_KIND_SIFT_BOW)
    with pytest.raises(ModelExists, match="'words'"):
        await side.register()
    await side.register(name="other")
    with pytest.raises(ModelExists, match="'other'"):
        await side.train(name="other")


@in_loop
async def test_a_training_takes_no_pictures():
    side = Side(images=3)
    opening = image_service_pb2.IngestOpen(collection="photos", job_id=(await side.train()).job_id)
    with pytest.raises(InvalidRequest, match="is a training and takes no pictures"):
        await side.service._ingests.open(opening)


@in_loop
async def test_a_file_is_registered_once_a_worker_has_loaded_it():
    side = Side()
    made = await side.register(content_hash=hashlib.sha256(b"a fitted file").hexdigest())
    assert (made.name, made.kind, made.dim, made.size_bytes) == ("sift-vlad:words", pb.MODEL_KIND_FITTED, 8, 13)
    assert (made.fitted.name, made.fitted.kind, made.fitted.collection) == ("words", VLAD, "")
    assert side.blobs.get(made.fitted.content_hash) == b"a fitted file"
    axes = await side.register(name="axes", kind=PCA, base_model="deep")
    assert (axes.name, axes.fitted.base_model, axes.takes_text) == ("deep+pca:axes", "deep", True)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"content": b"bad"}, WeightsUnavailable, "safetensors"),
        ({"content_hash": "ab" * 32}, InvalidRequest, "was changed on its way"),
        ({"base_model": "deep"}, InvalidRequest, "leave the model 'deep' out"),
        ({"kind": PCA}, InvalidRequest, "name the model"),
        ({"kind": PCA, "base_model": "nothing"}, ModelNotFound, "nothing"),
    ],
)
def test_what_is_no_fitted_file_gets_no_name(fields, error, message):
    @in_loop
    async def refused():
        side = Side()
        with pytest.raises(error, match=message):
            await side.register(**fields)
        assert side.catalogue.models.page("", 10) == []
        assert side.blobs._blobs == {}

    refused()


@in_loop
async def test_fitted_models_are_listed_last_by_name():
    side = Side()
    for name in ("b", "a"):
        await side.register(name=name)
    listed = await side.listed()
    assert [each.name for each in listed] == ["fake", "deep", "words", "sift-vlad:a", "sift-vlad:b"]
    pages, token = [], ""
    while True:
        page = await side.models.ListModels(pb.ListModelsRequest(page_size=2, page_token=token), CONTEXT)
        pages.append([each.name for each in page.models])
        token = page.next_page_token
        if not token:
            break
    assert pages == [["fake", "deep"], ["words", "sift-vlad:a"], ["sift-vlad:b"]]
    with pytest.raises(InvalidRequest):
        await side.models.ListModels(pb.ListModelsRequest(page_token="made up"), CONTEXT)


@in_loop
async def test_a_model_is_found_by_its_name_and_by_that_of_its_file():
    side = Side()
    made = await side.register(name="axes", kind=PCA, base_model="deep")
    for name in ("axes", "deep+pca:axes"):
        assert (await side.models.GetModel(pb.GetModelRequest(model=name), CONTEXT)).model == made
    assert (await side.models.GetModel(pb.GetModelRequest(model="fake"), CONTEXT)).model.dim == 8
    with pytest.raises(ModelNotFound, match="'nothing'"):
        await side.models.GetModel(pb.GetModelRequest(model="nothing"), CONTEXT)


@in_loop
async def test_a_fitted_model_is_forgotten_unless_a_collection_is_made_with_it():
    side = Side()
    await side.register(name="axes", kind=PCA, base_model="deep")
    space = Space("image", "deep+pca:axes", 8, Metric.COSINE, "ab" * 32)
    side.catalogue.collections.create("made-with-it", [space], 1)
    with pytest.raises(FailedPrecondition, match="made-with-it"):
        await side.models.DeleteModel(pb.DeleteModelRequest(model="axes"), CONTEXT)
    side.catalogue.collections.delete("made-with-it")
    await side.models.DeleteModel(pb.DeleteModelRequest(model="deep+pca:axes"), CONTEXT)
    assert "deep+pca:axes" not in [each.name for each in await side.listed()]
    with pytest.raises(ModelNotFound):
        await side.models.DeleteModel(pb.DeleteModelRequest(model="axes"), CONTEXT)


@in_loop
async def test_without_a_worker_nothing_is_listed():
    side = Side()

    async def nobody(_):
        raise EmbedderUnavailable("no worker answers")

    side.embedder.list_models = nobody
    with pytest.raises(EmbedderUnavailable):
        await side.listed()


@pytest.mark.parametrize(
    "request_",
    [
        jobs_pb.CreateTrainingRequest(collection="photos", name="../etc", kind=VLAD),
        jobs_pb.CreateTrainingRequest(collection="photos", name="a+b", kind=VLAD),
        jobs_pb.CreateTrainingRequest(collection="photos", name="a:b", kind=VLAD),
        jobs_pb.CreateTrainingRequest(collection="photos", name="", kind=VLAD),
        jobs_pb.CreateTrainingRequest(collection="photos", name="words"),
        jobs_pb.CreateTrainingRequest(collection="photos", name="words", kind=VLAD, sample_size=20_001),
        pb.RegisterModelRequest(name="a/b", kind=VLAD, content=b"x"),
        pb.RegisterModelRequest(name="words", kind=VLAD),
        pb.RegisterModelRequest(name="words", kind=VLAD, content=b"x", content_hash="abc"),
    ],
)
def test_names_that_would_not_be_parts_of_a_models_text_are_refused(request_):
    with pytest.raises(ValidationError):
        validate(request_)
