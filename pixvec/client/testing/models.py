"""ModelService over the fake store: any bytes but none are a fitted file."""

import hashlib
from collections.abc import Iterator

import grpc

from pixvec.api.v1 import model_service_pb2 as pb
from pixvec.api.v1.model_service_pb2_grpc import ModelServiceServicer
from pixvec.client.testing.servicers import Servicer
from pixvec.client.testing.store import DIM, Store
from pixvec.client.testing.trainings import keep
from pixvec.domain import Model, ModelKind, TrainingSpec
from pixvec.errors import InvalidRequest, ModelNotFound
from pixvec.rpc.models import fitted_kind_from_wire, model_to_wire

_KNOWN = (
    Model("fake", ModelKind.HANDCRAFTED, DIM, "The bytes of a picture", source="pixvec", licence="Apache-2.0"),
    Model(
        "fake-network",
        ModelKind.NETWORK,
        2048,
        "A network that is not there",
        parameters=25_557_032,
        size_bytes=102_000_000,
        source="torchvision",
        licence="BSD-3-Clause; trained on ImageNet-1k",
        available=False,
        detail="start with `pixvec up --weights fake-network=FILE`",
    ),
)


class FakeModels(Servicer, ModelServiceServicer):
    """A model that is at hand, one that is not, and those that were fitted."""

    def ListModels(self, request: pb.ListModelsRequest, context: grpc.ServicerContext) -> pb.ListModelsResponse:
        """Return models in pages."""
        with self._server.answering("ListModels", request, context) as store:
            first = int(request.page_token or 0)
            found = list(_all(store))
            last = first + (request.page_size or 100)
            token = str(last) if last < len(found) else ""
            return pb.ListModelsResponse(models=map(model_to_wire, found[first:last]), next_page_token=token)

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.GetModelResponse:
        """Return a model by its name, or by that of its file."""
        with self._server.answering("GetModel", request, context) as store:
            return pb.GetModelResponse(model=model_to_wire(_find(store, request.model)))

    def RegisterModel(
        self, request: pb.RegisterModelRequest, context: grpc.ServicerContext
    ) -> pb.RegisterModelResponse:
        """Note a fitted file."""
        with self._server.answering("RegisterModel", request, context) as store:
            kind = fitted_kind_from_wire(request.kind)
            if request.content_hash not in ("", hashlib.sha256(request.content).hexdigest()):
                raise InvalidRequest("the content was changed on its way: send it again", field="content_hash")
            spec = TrainingSpec(request.name, kind, DIM, 1, request.base_model)
            return pb.RegisterModelResponse(model=model_to_wire(keep(store, spec, request.content, "")))

    def DeleteModel(self, request: pb.DeleteModelRequest, context: grpc.ServicerContext) -> pb.DeleteModelResponse:
        """Forget a fitted model."""
        with self._server.answering("DeleteModel", request, context) as store:
            found = _find(store, request.model)
            if found.fitted is None:
                raise ModelNotFound(f"{request.model!r} was not fitted: there is nothing to forget", field="model")
            del store.models[found.fitted.name]
            return pb.DeleteModelResponse()


def _all(store: Store) -> Iterator[Model]:
    yield from _KNOWN
    yield from (store.models[name] for name in sorted(store.models))


def _find(store: Store, name: str) -> Model:
    for each in _all(store):
        if name == each.name or (each.fitted is not None and name == each.fitted.name):
            return each
    raise ModelNotFound(f"there is no model {name!r}", field="model")
