"""CollectionService."""

from typing import Any

from pixvec.api.v1 import collection_service_pb2 as pb
from pixvec.api.v1 import collection_service_pb2_grpc
from pixvec.rpc.deadlines import time_left_s
from pixvec.rpc.index_settings import index_change
from services.gateway.collections import Collections
from services.gateway.converters import to_collection, to_new_spaces
from services.gateway.page_tokens import DEFAULT_PAGE_SIZE, decode_page_token, encode_page_token

# A model's weights may have to be fetched first.
_CREATE_DEADLINE_S = 600.0
_PAGES = "collections"


class CollectionService(collection_service_pb2_grpc.CollectionServiceServicer):
    """Creates, describes, changes and deletes collections."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections

    async def CreateCollection(self, request: pb.CreateCollectionRequest, context: Any) -> pb.CreateCollectionResponse:
        """Create a collection."""
        shard_count = request.shard_count if request.HasField("shard_count") else None
        deadline_s = time_left_s(context, _CREATE_DEADLINE_S)
        created, reason = await self._collections.create(
            request.collection, to_new_spaces(request), shard_count, deadline_s
        )
        return pb.CreateCollectionResponse(collection=to_collection(created, 0), model_choice=reason)

    async def GetCollection(self, request: pb.GetCollectionRequest, context: Any) -> pb.GetCollectionResponse:  # noqa: ARG002
        """Describe one collection."""
        collection, image_count = await self._collections.get(request.collection)
        return pb.GetCollectionResponse(collection=to_collection(collection, image_count))

    async def ListCollections(
        self,
        request: pb.ListCollectionsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ListCollectionsResponse:
        """Describe collections, by name."""
        after = decode_page_token(_PAGES, request.page_token, str, "")
        limit = request.page_size or DEFAULT_PAGE_SIZE
        found = await self._collections.page(after, limit)
        token = encode_page_token(_PAGES, found[-1][0].name) if len(found) == limit else ""
        collections = [to_collection(collection, count) for collection, count in found]
        return pb.ListCollectionsResponse(collections=collections, next_page_token=token)

    async def UpdateCollection(
        self,
        request: pb.UpdateCollectionRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.UpdateCollectionResponse:
        """Change how a collection is indexed."""
        change = index_change(request.index, request.update_mask.paths)
        collection, image_count = await self._collections.change_index(request.collection, request.space, change)
        return pb.UpdateCollectionResponse(collection=to_collection(collection, image_count))

    async def DeleteCollection(
        self,
        request: pb.DeleteCollectionRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.DeleteCollectionResponse:
        """Delete a collection."""
        await self._collections.delete(request.collection)
        return pb.DeleteCollectionResponse()
