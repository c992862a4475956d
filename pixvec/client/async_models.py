"""`client.models` for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from pixvec.api.v1 import model_service_pb2 as pb
from pixvec.api.v1.job_service_pb2_grpc import JobServiceStub
from pixvec.api.v1.model_service_pb2_grpc import ModelServiceStub
from pixvec.client import requests
from pixvec.client.admin import AsyncCall
from pixvec.client.arguments import text
from pixvec.client.async_jobs import AsyncJobWatcher, AsyncUriJob
from pixvec.client.channel import CREATE_TIMEOUT_S
from pixvec.client.models import job_of, model_of, registration, training_request
from pixvec.domain import FittedKind, Model
from pixvec.rpc.models import model_from_wire


class AsyncTrainingJob(AsyncUriJob):
    """TrainingJob with an event loop."""

    @property
    def model(self) -> str:
        """See TrainingJob."""
        return model_of(self.info)


class AsyncModels:
    """Models with an event loop: the same methods, awaited."""

    def __init__(self, channel: grpc.aio.Channel, call: AsyncCall, watcher: AsyncJobWatcher) -> None:
        self._stub = ModelServiceStub(channel)
        self._jobs = JobServiceStub(channel)
        self._call = call
        self._watcher = watcher

    async def list(self) -> AsyncIterator[Model]:
        """See Models."""
        request = pb.ListModelsRequest()
        while True:
            page = await self._call(self._stub.ListModels, request, None)
            for each in page.models:
                yield model_from_wire(each)
            if not requests.turn_page(request, page):
                return

    async def get(self, model: str) -> Model:
        """See Models."""
        request = pb.GetModelRequest(model=text("model", model))
        return model_from_wire((await self._call(self._stub.GetModel, request, None)).model)

    async def train_codebook(
        self,
        collection: str,
        name: str,
        *,
        kind: FittedKind | str = FittedKind.SIFT_VLAD,
        words: int = 0,
        sample_size: int = 0,
        idempotency_key: str | None = None,
    ) -> AsyncTrainingJob:
        """See Models."""
        wish = training_request(collection, name, kind, "", words, sample_size, idempotency_key)
        return AsyncTrainingJob(
            self._watcher, job_of(await self._call(self._jobs.CreateTraining, wish, CREATE_TIMEOUT_S))
        )

    async def fit_pca(
        self,
        collection: str,
        name: str,
        *,
        model: str = "",
        dim: int = 0,
        whiten: bool = False,
        sample_size: int = 0,
        idempotency_key: str | None = None,
    ) -> AsyncTrainingJob:
        """See Models."""
        kind = FittedKind.PCA_WHITENED if whiten else FittedKind.PCA
        wish = training_request(collection, name, kind, model, dim, sample_size, idempotency_key)
        return AsyncTrainingJob(
            self._watcher, job_of(await self._call(self._jobs.CreateTraining, wish, CREATE_TIMEOUT_S))
        )

    async def register(self, name: str, file: str | Path, *, kind: FittedKind | str, base_model: str = "") -> Model:
        """See Models."""
        content = await asyncio.to_thread(Path(file).read_bytes)
        request = registration(name, content, kind, base_model)
        return model_from_wire((await self._call(self._stub.RegisterModel, request, CREATE_TIMEOUT_S)).model)

    async def delete(self, model: str) -> None:
        """See Models."""
        await self._call(self._stub.DeleteModel, pb.DeleteModelRequest(model=text("model", model)), None)
