"""ImageService."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.api.v1 import image_service_pb2_grpc
from pixvec.catalogue.interfaces import ImageReader
from pixvec.errors import InvalidRequest
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.deadlines import time_left_s
from pixvec.rpc.validation import check
from pixvec.telemetry.metrics import INGEST_STREAMS
from services.gateway.contents import Contents
from services.gateway.converters import to_delete_response, to_image, to_opened, to_statuses
from services.gateway.deletions import Deletions
from services.gateway.directory import Directory
from services.gateway.ingests import Ingests

_DEFAULT_DEADLINE_S = 30.0
# Checks its items itself: a bad one fails alone.
INGEST_METHOD = "/pixvec.api.v1.ImageService/Ingest"


class ImageService(image_service_pb2_grpc.ImageServiceServicer):
    """Takes pictures in and gives them back."""

    def __init__(
        self,
        ingests: Ingests,
        deletions: Deletions,
        contents: Contents,
        directory: Directory,
        images: ImageReader,
        sql: BlockingCalls,
    ) -> None:
        self._ingests = ingests
        self._deletions = deletions
        self._contents = contents
        self._directory = directory
        self._images = images
        self._sql = sql

    async def Ingest(
        self,
        request_iterator: AsyncIterator[pb.IngestRequest],
        context: Any,  # noqa: ARG002
    ) -> AsyncGenerator[pb.IngestResponse, None]:
        """Take pictures in, answering with statuses."""
        opening = await _opening(request_iterator)
        with self._ingests.place(), INGEST_STREAMS.track_inprogress():
            stream = await self._ingests.open(opening)
            yield to_opened(stream.job_id)
            async with aclosing(stream.run(request_iterator, resumed=bool(opening.job_id))) as reports:
                async for statuses in reports:
                    yield to_statuses(statuses)

    async def GetImage(self, request: pb.GetImageRequest, context: Any) -> pb.GetImageResponse:  # noqa: ARG002
        """Describe one image."""
        collection = await self._directory.collection(request.collection)
        of_image = (collection.collection_id, request.image_id)
        image = await self._sql.read(self._images.get, *of_image)
        regions = await self._sql.read(self._images.regions, *of_image) if request.include_regions else []
        return pb.GetImageResponse(image=to_image(image, regions))

    async def DeleteImages(self, request: pb.DeleteImagesRequest, context: Any) -> pb.DeleteImagesResponse:  # noqa: ARG002
        """Delete images by id."""
        deleted = await self._deletions.delete(request.collection, request.image_ids)
        return to_delete_response(deleted)

    async def GetContent(self, request: pb.GetContentRequest, context: Any) -> pb.GetContentResponse:
        """Return a picture or its thumbnail."""
        if request.variant == pb.CONTENT_VARIANT_THUMBNAIL:
            left_s = time_left_s(context, _DEFAULT_DEADLINE_S)
            content = await self._contents.thumbnail(request.collection, request.image_id, left_s)
        else:
            content = await self._contents.original(request.collection, request.image_id)
        return pb.GetContentResponse(content=content.data, media_type=content.media_type)


async def _opening(requests: AsyncIterator[pb.IngestRequest]) -> pb.IngestOpen:
    async for request in requests:
        if request.WhichOneof("request") == "open":
            check(request)
            return request.open
        break
    raise InvalidRequest("the first message of the stream has to be `open`, naming the collection", field="open")
