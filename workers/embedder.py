"""EmbedderService: the model host for interactive calls."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from pixvec.api.v1 import collection_service_pb2, image_service_pb2
from pixvec.domain import Box
from pixvec.errors import FailedPrecondition, PictureError, PixvecError
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.models import fitted_kind_from_wire, model_kind_to_wire
from pixvec.rpc.regions import box_from_wire, region_settings_from_wire, region_to_wire
from pixvec.vision.decode import Picture
from pixvec.vision.detector import RegionExtractor
from pixvec.vision.extractor import Extractor, TextExtractor, Vectors, text_tower
from pixvec.vision.preprocess import AnyPreprocess, BoxPreprocess
from pixvec.vision.registry import ModelInfo
from pixvec.vision.zero_shot import Probabilities
from workers.batcher import Batcher, Embedded
from workers.comparing import Compared, Comparing
from workers.decode_pool import Decoder
from workers.detecting import Detecting, SeenPicture
from workers.model_host import ModelHost, check_digest
from workers.region_models import RegionKey, check_regions
from workers.zero_shot import ZeroShot, probabilities, stored_vectors


@dataclass(frozen=True, slots=True)
class _Seen:
    """What became of each picture, and the vectors of those that are pictures, in order."""

    outcomes: Sequence[Picture | PictureError]
    embedded: Embedded
    decode_s: float = 0.0


class EmbedderService(embedder_service_pb2_grpc.EmbedderServiceServicer):
    """Answers ahead of queued work. A picture that cannot be decoded is an error inside the answer."""

    def __init__(self, host: ModelHost, decoder: Decoder, batcher: Batcher, comparing: Comparing | None = None) -> None:
        self._host = host
        self._decoder = decoder
        self._batcher = batcher
        self._zero_shot = ZeroShot(batcher)
        self._detecting = Detecting(decoder, batcher)
        self._comparing_here = comparing

    async def EmbedImages(self, request: pb.EmbedImagesRequest, context: Any) -> pb.EmbedImagesResponse:  # noqa: ARG002
        """Decode, embed in one submission, and answer in order."""
        extractor = await self._model(request.model, request.digest.hex())
        check_digest(extractor, request.digest.hex())
        seen = await self._see(request.images, extractor, list(map(box_from_wire, request.boxes)))
        return pb.EmbedImagesResponse(
            embeddings=_embeddings(seen.outcomes, _packed(seen.embedded.vectors)),
            queue_seconds=seen.embedded.queue_s,
            decode_seconds=seen.decode_s,
            inference_seconds=seen.embedded.inference_s,
        )

    async def EmbedTexts(self, request: pb.EmbedTextsRequest, context: Any) -> pb.EmbedTextsResponse:  # noqa: ARG002
        """Embed texts in one submission, and answer in order."""
        extractor = text_tower(await self._model(request.model, request.digest.hex()))
        check_digest(extractor, request.digest.hex())
        embedded = await asyncio.wrap_future(self._batcher.submit_texts(extractor, list(request.texts)))
        return pb.EmbedTextsResponse(
            vectors=_packed(embedded.vectors),
            queue_seconds=embedded.queue_s,
            inference_seconds=embedded.inference_s,
        )

    async def ClassifyImages(self, request: pb.ClassifyImagesRequest, context: Any) -> pb.ClassifyImagesResponse:  # noqa: ARG002
        """Compare pictures, or their vectors, with what the labels say."""
        extractor = text_tower(await self._model(request.model, request.digest.hex()))
        check_digest(extractor, request.digest.hex())
        classes = await self._zero_shot.classes(extractor, request.labels, request.templates)
        if request.vectors:
            seen = _Seen([], Embedded(stored_vectors(extractor, request.vectors), 0.0, 0.0))
        else:
            seen = await self._see(request.images, extractor)
        found = probabilities(extractor, seen.embedded.vectors, classes.vectors)
        return pb.ClassifyImagesResponse(
            results=_classified(seen.outcomes, found) if request.images else map(_to_classes, found),
            exclusive=extractor.logit_bias is None,
            queue_seconds=classes.queue_s + seen.embedded.queue_s,
            decode_seconds=seen.decode_s,
            inference_seconds=classes.inference_s + seen.embedded.inference_s,
        )

    async def DetectRegions(self, request: pb.DetectRegionsRequest, context: Any) -> pb.DetectRegionsResponse:  # noqa: ARG002
        """Find the objects of pictures, or describe boxes drawn into them, and answer in order."""
        digest = request.digest.hex()
        regions = await self._regions(request.settings, request.image_model, digest)
        check_regions(regions, digest)
        boxes: Sequence[Box | None] = list(map(box_from_wire, request.boxes)) or [None] * len(request.images)
        seen = await self._detecting.see(regions, request.images, boxes)
        return pb.DetectRegionsResponse(
            results=map(_to_image_regions, seen.outcomes),
            queue_seconds=seen.queue_s,
            decode_seconds=seen.decode_s,
            inference_seconds=seen.inference_s,
        )

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: ARG002
        """List what can be had, and what would have to be done for the rest."""
        models = await asyncio.to_thread(self._host.describe)
        return pb.ListModelsResponse(models=map(_to_listed, models))

    async def TryFitted(self, request: pb.TryFittedRequest, context: Any) -> pb.TryFittedResponse:  # noqa: ARG002
        """Load a model from a fitted file once, and tell what it makes."""
        kind = fitted_kind_from_wire(request.kind)
        tried = (request.name, request.base_model, request.content)
        extractor = await asyncio.to_thread(self._host.try_fitted, kind, *tried)
        base_model = "" if kind.is_codebook else extractor.name.rpartition(f"+{kind}:")[0]
        return pb.TryFittedResponse(dim=extractor.dim, digest=bytes.fromhex(extractor.digest), base_model=base_model)

    async def ResolveModel(self, request: pb.ResolveModelRequest, context: Any) -> pb.ResolveModelResponse:  # noqa: ARG002
        """Load a model, fetching its weights if need be."""
        name, reason = await asyncio.to_thread(self._host.choose, request.model)
        extractor = await self._model(name)
        return pb.ResolveModelResponse(
            model=extractor.name,
            dim=extractor.dim,
            digest=bytes.fromhex(extractor.digest),
            reason=reason,
            takes_text=isinstance(extractor, TextExtractor),
        )

    async def ResolveRegions(self, request: pb.ResolveRegionsRequest, context: Any) -> pb.ResolveRegionsResponse:  # noqa: ARG002
        """Load what makes regions, fetching weights if need be."""
        # What is loaded may embed crops with a file that has its name no more.
        key = RegionKey(region_settings_from_wire(request.settings), request.image_model)
        regions = await asyncio.shield(asyncio.wrap_future(self._host.regions.begin(key)))
        return pb.ResolveRegionsResponse(detector=regions.name, dim=regions.dim, digest=bytes.fromhex(regions.digest))

    async def RenderThumbnail(self, request: pb.RenderThumbnailRequest, context: Any) -> pb.RenderThumbnailResponse:  # noqa: ARG002
        """Render a small JPEG."""
        jpeg = await asyncio.wrap_future(self._decoder.thumbnail(request.image, request.max_side))
        return pb.RenderThumbnailResponse(jpeg=jpeg)

    async def HashImage(self, request: pb.HashImageRequest, context: Any) -> pb.HashImageResponse:  # noqa: ARG002
        """Hash what a picture shows."""
        return pb.HashImageResponse(perceptual_hash=await self._comparing.perceptual_hash(request.image))

    async def CompareImages(self, request: pb.CompareImagesRequest, context: Any) -> pb.CompareImagesResponse:  # noqa: ARG002
        """Look for a picture in stored ones."""
        query = request.image or request.content_hash
        compared = await self._comparing.compare(query, request.candidates, request.limit_seconds)
        return pb.CompareImagesResponse(comparisons=[_comparison(each) for each in compared])

    @property
    def _comparing(self) -> Comparing:
        if self._comparing_here is None:
            raise FailedPrecondition("this model host has no blob store: ask a worker")
        return self._comparing_here

    async def _see(self, images: Sequence[bytes], extractor: Extractor, boxes: Sequence[Box] = ()) -> "_Seen":
        begun = time.monotonic()
        outcomes = await _settled(self._decode(images, extractor, boxes))
        decode_s = time.monotonic() - begun
        pictures = [outcome for outcome in outcomes if isinstance(outcome, Picture)]
        if not pictures:
            return _Seen(outcomes, Embedded(np.zeros((0, extractor.dim), np.float32), 0.0, 0.0), decode_s)
        pixels = np.stack([picture.pixels for picture in pictures])
        embedded = await asyncio.wrap_future(self._batcher.submit(extractor, pixels, priority=True))
        return _Seen(outcomes, embedded, decode_s)

    def _decode(self, images: Sequence[bytes], extractor: Extractor, boxes: Sequence[Box]) -> "list[Future[Picture]]":
        decoding: list[Future[Picture]] = []
        whole = extractor.preprocess
        ways: list[AnyPreprocess] = [BoxPreprocess(box, whole) for box in boxes]
        try:
            for image, way in zip(images, ways or [whole] * len(images), strict=True):
                decoding.append(self._decoder.decode(image, way, priority=True))
        except PixvecError:
            # Nobody waits for those that there was room for.
            for each in decoding:
                each.cancel()
            raise
        return decoding

    async def _model(self, name: str, digest: str = "") -> Extractor:
        found = self._host.find(name, digest)
        if found is not None:
            return found
        # Others may wait for the same: it is not cancelled with this caller.
        return await asyncio.shield(asyncio.wrap_future(self._host.begin(name)))

    async def _regions(
        self, settings: collection_service_pb2.RegionSettings, image_model: str, digest: str
    ) -> RegionExtractor:
        key = RegionKey(region_settings_from_wire(settings), image_model)
        found = self._host.regions.find(key, digest)
        if found is not None:
            return found
        return await asyncio.shield(asyncio.wrap_future(self._host.regions.begin(key)))


def _comparison(compared: Compared | None) -> pb.Comparison:
    if compared is None or compared.copy is None:
        return pb.Comparison(compared=compared is not None)
    return pb.Comparison(compared=True, inliers=compared.copy.inliers, quad_xy=compared.copy.quad_xy.ravel())


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
        else pb.ImageEmbedding(error=_to_error(outcome))
        for outcome in outcomes
    ]


def _classified(outcomes: Sequence[Picture | PictureError], found: Probabilities) -> Iterator[pb.ImageClasses]:
    left = iter(found)
    for outcome in outcomes:
        yield _to_classes(next(left)) if isinstance(outcome, Picture) else pb.ImageClasses(error=_to_error(outcome))


def _to_classes(of_picture: Probabilities) -> pb.ImageClasses:
    return pb.ImageClasses(probabilities=of_picture.tolist())


def _to_image_regions(seen: SeenPicture | PictureError) -> pb.ImageRegions:
    if isinstance(seen, PictureError):
        return pb.ImageRegions(error=_to_error(seen))
    return pb.ImageRegions(
        regions=map(region_to_wire, seen.regions),
        vectors=seen.vectors.astype("<f4", copy=False).tobytes(),
        dim=seen.vectors.shape[1],
        width=seen.width,
        height=seen.height,
    )


def _to_error(error: PictureError) -> image_service_pb2.ItemError:
    return image_service_pb2.ItemError(reason=error.reason, message=error.message, retryable=error.retryable)


def _packed(vectors: Vectors) -> list[bytes]:
    return [vector.astype("<f4", copy=False).tobytes() for vector in vectors]


def _to_listed(info: ModelInfo) -> pb.Model:
    return pb.Model(
        name=info.name,
        dim=info.dim,
        description=info.description,
        available=info.available,
        detail=info.detail,
        parameters=info.parameters,
        size_bytes=info.size_bytes,
        source=info.source,
        licence=info.licence,
        kind=model_kind_to_wire(info.kind),
        takes_text=info.takes_text,
    )
