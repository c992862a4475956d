"""`client.models`: what makes vectors, and what jobs fit on a collection's pictures."""

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc

from pixvec.api.v1 import job_service_pb2
from pixvec.api.v1 import model_service_pb2 as pb
from pixvec.api.v1.job_service_pb2_grpc import JobServiceStub
from pixvec.api.v1.model_service_pb2_grpc import ModelServiceStub
from pixvec.client import answers, requests
from pixvec.client.admin import Call
from pixvec.client.arguments import choice, not_negative, text
from pixvec.client.channel import CREATE_TIMEOUT_S
from pixvec.client.jobs import JobWatcher, UriJob
from pixvec.domain import FittedKind, JobInfo, Model
from pixvec.rpc.models import fitted_kind_to_wire, model_from_wire


class TrainingJob(UriJob):
    """A job that fits a model: the server does it all, whether anyone waits or not. Its counts are those of the sample:
    pictures end as decoded or failed. `wait` raises FailedPrecondition, saying why, when nothing came of it."""

    @property
    def model(self) -> str:
        """How the fitted model is named where a collection is created, once the job is completed."""
        return model_of(self.info)


class Models:
    """Models by name, and jobs that make some."""

    def __init__(self, channel: grpc.Channel, call: Call, watcher: JobWatcher) -> None:
        self._stub = ModelServiceStub(channel)
        self._jobs = JobServiceStub(channel)
        self._call = call
        self._watcher = watcher

    def list(self) -> Iterator[Model]:
        """Yield every model: those that `auto` may take first, the best first; fitted ones last, by name."""
        request = pb.ListModelsRequest()
        while True:
            page = self._call(self._stub.ListModels, request, None)
            yield from map(model_from_wire, page.models)
            if not requests.turn_page(request, page):
                return

    def get(self, model: str) -> Model:
        """Return a model by its name as it is listed, a fitted one by its own name too. Raises ModelNotFound."""
        request = pb.GetModelRequest(model=text("model", model))
        return model_from_wire(self._call(self._stub.GetModel, request, None).model)

    def train_codebook(
        self,
        collection: str,
        name: str,
        *,
        kind: FittedKind | str = FittedKind.SIFT_VLAD,
        words: int = 0,
        sample_size: int = 0,
        idempotency_key: str | None = None,
    ) -> TrainingJob:
        """Have a codebook fitted on the SIFT descriptors of a sample of a collection: `sift-vlad:NAME` or
        `sift-bow:NAME` come of it. By default 64 words, of 1,000 pictures.

        Raises CollectionNotFound, ModelExists, FailedPrecondition for an empty collection.
        """
        wish = training_request(collection, name, kind, "", words, sample_size, idempotency_key)
        return TrainingJob(self._watcher, job_of(self._call(self._jobs.CreateTraining, wish, CREATE_TIMEOUT_S)))

    def fit_pca(
        self,
        collection: str,
        name: str,
        *,
        model: str = "",
        dim: int = 0,
        whiten: bool = False,
        sample_size: int = 0,
        idempotency_key: str | None = None,
    ) -> TrainingJob:
        """Have a PCA fitted on vectors of a sample of a collection, by default those of its first space as they are
        stored, else those of `model`: `MODEL+pca:NAME` comes of it, `MODEL+pcaw:NAME` if `whiten`. By default 128
        dimensions, of 10,000 pictures.

        Raises CollectionNotFound, ModelNotFound, ModelExists, FailedPrecondition for too few pictures.
        """
        kind = FittedKind.PCA_WHITENED if whiten else FittedKind.PCA
        wish = training_request(collection, name, kind, model, dim, sample_size, idempotency_key)
        return TrainingJob(self._watcher, job_of(self._call(self._jobs.CreateTraining, wish, CREATE_TIMEOUT_S)))

    def register(self, name: str, file: str | Path, *, kind: FittedKind | str, base_model: str = "") -> Model:
        """Take in a file that was fitted elsewhere, a PCA for `base_model`. Raises ModelExists, WeightsUnavailable for
        what is no such file, and OSError for one that cannot be read."""
        request = registration(name, Path(file).read_bytes(), kind, base_model)
        return model_from_wire(self._call(self._stub.RegisterModel, request, CREATE_TIMEOUT_S).model)

    def delete(self, model: str) -> None:
        """Forget a fitted model. Raises ModelNotFound, FailedPrecondition while a collection is made with it."""
        self._call(self._stub.DeleteModel, pb.DeleteModelRequest(model=text("model", model)), None)


def training_request(
    collection: str,
    name: str,
    kind: FittedKind | str,
    model: str,
    size: int,
    sample_size: int,
    idempotency_key: str | None,
) -> job_service_pb2.CreateTrainingRequest:
    """Build the request for a training; 0 and nothing stand for defaults."""
    return job_service_pb2.CreateTrainingRequest(
        collection=text("collection", collection),
        name=text("name", name),
        kind=fitted_kind_to_wire(choice("kind", FittedKind, kind)),
        model=text("model", model),
        size=not_negative("size", size),
        sample_size=not_negative("sample_size", sample_size),
        idempotency_key=text("idempotency_key", idempotency_key or str(uuid.uuid4())),
    )


def registration(name: str, content: bytes, kind: FittedKind | str, base_model: str) -> pb.RegisterModelRequest:
    """Build the request for a fitted file to be kept."""
    return pb.RegisterModelRequest(
        name=text("name", name),
        kind=fitted_kind_to_wire(choice("kind", FittedKind, kind)),
        base_model=text("base_model", base_model),
        content=content,
        content_hash=hashlib.sha256(content).hexdigest(),
    )


def job_of(response: job_service_pb2.CreateTrainingResponse) -> JobInfo:
    """Return the job that was made."""
    return answers.job_info(response.job)


def model_of(job: JobInfo) -> str:
    """Return the text of the model that a training makes."""
    return job.training.model if job.training is not None else ""
