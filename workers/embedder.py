"""EmbedderService: the model host for interactive calls."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from pixvec.api.v1 import image_service_pb2
from pixvec.errors import PictureError, PixvecError
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.vision.decode import Picture
from pixvec.vision.extractor import Extractor
from workers.batcher import Batcher
from workers.decode_pool import Decoder
from workers.model_host import ModelHost, check_digest


class EmbedderService(embedder_service_pb2_grpc.EmbedderServiceServicer):
    """Answers ahead of queued work. A picture that cannot be decoded is an error inside the answer."""

    def __init__(self, host: ModelHost, decoder: Decoder, batcher: Batcher) -> None:
        self._host = host
        self._decoder = decoder
        self._batcher = batcher

    async def EmbedImages(self, request: pb.EmbedImagesRequest, context: Any) -> pb.EmbedImagesResponse:  # noqa: ARG002
        """Decode, embed in one submission, and answer in order."""
        extractor = await self._model(request.model)
        check_digest(extractor, request.digest.hex())
        begun = time.monotonic()
        outcomes = await _settled(self._decode(request.images, extractor))
        decode_s = time.monotonic() - begun
        pictures = [outcome for outcome in outcomes if isinstance(outcome, Picture)]
        if not pictures:
            return pb.EmbedImagesResponse(embeddings=_embeddings(outcomes, []), decode_seconds=decode_s)
        pixels = np.stack([picture.pixels for picture in pictures])
        embedded = await asyncio.wrap_future(self._batcher.submit(extractor, pixels, priority=True))
        vectors = [vector.astype("<f4", copy=False).tobytes() for vector in embedded.vectors]
        return pb.EmbedImagesResponse(
            embeddings=_embeddings(outcomes, vectors),
            queue_seconds=embedded.queue_s,
            decode_seconds=decode_s,
            inference_seconds=embedded.inference_s,
        )

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: ARG002
        """List what can be had, and what would have to be done for the rest."""
        models = await asyncio.to_thread(self._host.describe)
        return pb.ListModelsResponse(
            models=[
                pb.Model(name=m.name, dim=m.dim, description=m.description, available=m.available, detail=m.detail)
                for m in models
            ]
        )

    async def ResolveModel(self, request: pb.ResolveModelRequest, context: Any) -> pb.ResolveModelResponse:  # noqa: ARG002
        """Load a model, fetching its weights if need be."""
        name, reason = await asyncio.to_thread(self._host.choose, request.model)
        extractor = await self._model(name)
        return pb.ResolveModelResponse(
            model=extractor.name, dim=extractor.dim, digest=bytes.fromhex(extractor.digest), reason=reason
        )

    async def RenderThumbnail(self, request: pb.RenderThumbnailRequest, context: Any) -> pb.RenderThumbnailResponse:  # noqa: ARG002
        """Render a small JPEG."""
        jpeg = await asyncio.wrap_future(self._decoder.thumbnail(request.image, request.max_side))
        return pb.RenderThumbnailResponse(jpeg=jpeg)

    def _decode(self, images: Sequence[bytes], extractor: Extractor) -> "list[Future[Picture]]":
        decoding: list[Future[Picture]] = []
        try:
            decoding.extend(self._decoder.decode(image, extractor.preprocess, priority=True) for image in images)
        except PixvecError:
            # Nobody waits for those that there was room for.
            for each in decoding:
                each.cancel()
            raise
        return decoding

    async def _model(self, name: str) -> Extractor:
        found = self._host.find(name)
        if found is not None:
            return found
        # Others may wait for the same: it is not cancelled with this caller.
        return await asyncio.shield(asyncio.wrap_future(self._host.begin(name)))


async def _settled(decoding: "Sequence[Future[Picture]]") -> list[Picture | PictureError]:
    """Return each picture, or why it is none. Other errors are raised: they are not the picture's."""
    outcomes = await asyncio.gather(*map(asyncio.wrap_future, decoding), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, PictureError):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Picture | PictureError)]


def _embeddings(outcomes: Sequence[Picture | PictureError], vectors: Sequence[bytes]) -> list[pb.ImageEmbedding]:
    left = iter(vectors)
    return [
        pb.ImageEmbedding(vector=next(left))
        if isinstance(outcome, Picture)
        else pb.ImageEmbedding(
            error=image_service_pb2.ItemError(
                reason=outcome.reason, message=outcome.message, retryable=outcome.retryable
            )
        )
        for outcome in outcomes
    ]
