"""ModelService."""

from typing import Any

from pixvec.api.v1 import model_service_pb2 as pb
from pixvec.api.v1 import model_service_pb2_grpc
from pixvec.rpc.deadlines import time_left_s
from pixvec.rpc.models import fitted_kind_from_wire, model_to_wire
from services.gateway.models import Models
from services.gateway.page_tokens import DEFAULT_PAGE_SIZE, decode_page_token, encode_page_token

_PAGES = "models"
# For callers who name no deadline: a fitted file may go with a network whose weights have to be fetched.
_DEFAULT_DEADLINE_S = 360.0


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """What makes vectors."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        """List models in pages."""
        first = decode_page_token(_PAGES, request.page_token, int, 0)
        limit = request.page_size or DEFAULT_PAGE_SIZE
        models = await self._models.all(time_left_s(context, _DEFAULT_DEADLINE_S))
        page = models[first : first + limit]
        token = encode_page_token(_PAGES, str(first + limit)) if first + limit < len(models) else ""
        return pb.ListModelsResponse(models=map(model_to_wire, page), next_page_token=token)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        """Describe one model."""
        model = await self._models.get(request.model, time_left_s(context, _DEFAULT_DEADLINE_S))
        return pb.GetModelResponse(model=model_to_wire(model))

    async def RegisterModel(self, request: pb.RegisterModelRequest, context: Any) -> pb.RegisterModelResponse:
        """Keep a fitted file under a name."""
        model = await self._models.register(
            request.name,
            fitted_kind_from_wire(request.kind),
            request.base_model,
            request.content,
            request.content_hash,
            time_left_s(context, _DEFAULT_DEADLINE_S),
        )
        return pb.RegisterModelResponse(model=model_to_wire(model))

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Any) -> pb.DeleteModelResponse:  # noqa: ARG002
        """Forget a fitted model."""
        await self._models.delete(request.model)
        return pb.DeleteModelResponse()
