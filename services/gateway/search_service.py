"""SearchService."""

from typing import Any

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.api.v1 import search_service_pb2_grpc
from pixvec.rpc.apart import put_together
from pixvec.rpc.deadlines import time_left_s
from services.gateway.batches import Batches
from services.gateway.classification import Classifications
from services.gateway.duplicate_converters import to_duplicates_query, to_duplicates_response
from services.gateway.duplicates import Duplicates
from services.gateway.queries import Queries
from services.gateway.query import Deadline
from services.gateway.query_converters import (
    to_batch_query,
    to_batch_response,
    to_classify_query,
    to_classify_response,
    to_query,
    to_query_response,
)
from services.gateway.scene_converters import to_scene_query, to_scene_response
from services.gateway.scenes import Scenes

_DEFAULT_DEADLINE_S = 10.0


class SearchService(search_service_pb2_grpc.SearchServiceServicer):
    """Finds pictures."""

    def __init__(
        self,
        queries: Queries,
        batches: Batches,
        scenes: Scenes,
        classifications: Classifications,
        duplicates: Duplicates,
    ) -> None:
        self._queries = queries
        self._batches = batches
        self._scenes = scenes
        self._classifications = classifications
        self._duplicates = duplicates

    async def Query(self, request: pb.QueryRequest, context: Any) -> pb.QueryResponse:
        """Answer one query."""
        query = to_query(request)
        deadline = Deadline(time_left_s(context, _DEFAULT_DEADLINE_S))
        answer = await self._queries.run(query, deadline)
        if query.match:
            answer = await self._duplicates.label(query, answer, deadline)
        return to_query_response(answer)

    async def QueryBatch(self, request: pb.QueryBatchRequest, context: Any) -> pb.QueryBatchResponse:
        """Answer many queries."""
        batch = to_batch_query(request)
        answer = await self._batches.run(batch, Deadline(time_left_s(context, _DEFAULT_DEADLINE_S)))
        return await put_together(batch.count * batch.limit, to_batch_response, answer)

    async def QueryScene(self, request: pb.QuerySceneRequest, context: Any) -> pb.QuerySceneResponse:
        """Find what is in a picture, object by object and all together."""
        query = to_scene_query(request)
        answer = await self._scenes.run(query, Deadline(time_left_s(context, _DEFAULT_DEADLINE_S)))
        hits = 2 * len(answer.hits) * query.limit
        return await put_together(hits, to_scene_response, answer)

    async def Classify(self, request: pb.ClassifyRequest, context: Any) -> pb.ClassifyResponse:
        """Say what pictures are of."""
        query = to_classify_query(request)
        answer = await self._classifications.run(query, Deadline(time_left_s(context, _DEFAULT_DEADLINE_S)))
        pictures = len(query.images) + len(query.image_ids)
        return await put_together(pictures * len(query.labels), to_classify_response, answer)

    async def FindDuplicates(self, request: pb.FindDuplicatesRequest, context: Any) -> pb.FindDuplicatesResponse:
        """Find copies of a picture."""
        query = to_duplicates_query(request)
        answer = await self._duplicates.find(query, Deadline(time_left_s(context, _DEFAULT_DEADLINE_S)))
        return to_duplicates_response(answer)
