"""The workers' EmbedderService, as the gateway calls it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import grpc

from pixvec.domain import Box, FittedKind, ItemError, Model, Region, RegionSettings, Space
from pixvec.errors import EmbedderUnavailable, PixvecError, SpaceNotFound, Unavailable
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.channels import AsyncChannels
from pixvec.rpc.conversions import item_error_from_wire
from pixvec.rpc.errors import from_rpc_error
from pixvec.rpc.models import fitted_kind_to_wire, listed_model_from_wire
from pixvec.rpc.regions import box_to_wire, region_from_wire, region_settings_to_wire


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One result a picture, in order: a packed little-endian float32 vector, or why there is none. Times in seconds."""

    results: tuple[bytes | ItemError, ...]
    queue_s: float = 0.0
    decode_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """One packed little-endian float32 vector a text, in order. Times in seconds."""

    vectors: tuple[bytes, ...]
    queue_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LabelTexts:
    """Classes by their names. Each of `templates` has a `{}` where the label goes; none for those the worker has."""

    labels: tuple[str, ...]
    templates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Classified:
    """One result a picture, in order: a probability for each label, or why there is none. Times in seconds.

    `exclusive`: the probabilities of a picture sum to 1; else each label stands for itself.
    """

    results: tuple[tuple[float, ...] | ItemError, ...]
    exclusive: bool = True
    queue_s: float = 0.0
    decode_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FoundRegions:
    """The regions of one picture, which has `width` x `height` pixels when upright, with one packed little-endian
    float32 vector each."""

    regions: tuple[Region, ...]
    vectors: tuple[bytes, ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class DetectedRegions:
    """One result a picture, in order: its regions, or why there are none, such as a box outside it. Times in
    seconds."""

    results: tuple[FoundRegions | ItemError, ...]
    queue_s: float = 0.0
    decode_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that is loaded. `digest` is 64 hexadecimal digits; `reason` says why `auto` took it; `takes_text`: it
    makes vectors of texts too."""

    model: str
    dim: int
    digest: str
    reason: str = ""
    takes_text: bool = False


class EmbedderClient(Protocol):
    """Embeds pictures and texts, and tells of models. Every method raises EmbedderUnavailable when no worker can be
    reached."""

    async def embed_images(
        self, model: str, digest: str, images: Sequence[bytes], timeout_s: float, boxes: Sequence[Box] = ()
    ) -> Embeddings:
        """Embed pictures ahead of queued work, each cut to its box where `boxes` are given, one a picture, in its
        pixels when upright. Raises ModelNotFound, DigestMismatch, Overloaded."""

    async def embed_texts(self, model: str, digest: str, texts: Sequence[str], timeout_s: float) -> TextEmbeddings:
        """Embed up to 256 texts ahead of queued work. Raises as `embed_images` does, and NoTextTower."""

    async def classify_images(
        self, model: str, digest: str, classes: LabelTexts, images: Sequence[bytes], timeout_s: float
    ) -> Classified:
        """Classify up to 256 pictures. Raises as `embed_texts` does, and InvalidRequest for what makes no classes."""

    async def classify_vectors(
        self, model: str, digest: str, classes: LabelTexts, vectors: Sequence[bytes], timeout_s: float
    ) -> Classified:
        """Classify pictures by the packed vectors that the model made of them. Raises as `classify_images` does."""

    async def detect_regions(
        self, space: Space, image_model: str, images: Sequence[bytes], timeout_s: float, boxes: Sequence[Box] = ()
    ) -> DetectedRegions:
        """Find the objects of up to 64 pictures as a space of regions does, or take `boxes`, one a picture, in its
        pixels when upright. `image_model`: the collection's, which embeds crops. Raises as `embed_images` does."""

    async def resolve_regions(self, settings: RegionSettings, image_model: str, timeout_s: float) -> ResolvedModel:
        """Load what makes regions and their vectors. Raises ModelNotFound, WeightsUnavailable, and InvalidRequest where
        the detector cannot do what the settings ask."""

    async def resolve_model(self, model: str, timeout_s: float) -> ResolvedModel:
        """Load a model, or the best that can be had for `auto`. Raises ModelNotFound, WeightsUnavailable."""

    async def list_models(self, timeout_s: float) -> list[Model]:
        """Return what workers know, detectors too, but no fitted models."""

    async def try_fitted(
        self, kind: FittedKind, name: str, base_model: str, content: bytes, timeout_s: float
    ) -> ResolvedModel:
        """Load a model from a fitted file that nobody has registered; its `model` is that of its vectors, `base_model`
        being in its canonical form. Raises InvalidRequest, ModelNotFound, WeightsUnavailable."""

    async def render_thumbnail(self, image: bytes, max_side: int, timeout_s: float) -> bytes:
        """Render an upright JPEG of at most `max_side` pixels a side. Raises PictureError."""

    async def close(self) -> None:
        """Let go of the connection."""


class GrpcEmbedder:
    """Calls whichever worker answers at `target`."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._channels = AsyncChannels()
        self._known: embedder_service_pb2_grpc.EmbedderServiceAsyncStub | None = None

    @property
    def _stub(self) -> "embedder_service_pb2_grpc.EmbedderServiceAsyncStub":
        if self._known is None:
            self._known = embedder_service_pb2_grpc.EmbedderServiceStub(self._channels.get(self._target))
        return self._known

    async def embed_images(
        self, model: str, digest: str, images: Sequence[bytes], timeout_s: float, boxes: Sequence[Box] = ()
    ) -> Embeddings:
        """See EmbedderClient."""
        request = pb.EmbedImagesRequest(
            model=model, digest=bytes.fromhex(digest), images=images, boxes=map(box_to_wire, boxes)
        )
        with translated(self._target):
            response = await self._stub.EmbedImages(request, timeout=timeout_s)
        return Embeddings(
            tuple(_to_result(embedding) for embedding in response.embeddings),
            response.queue_seconds,
            response.decode_seconds,
            response.inference_seconds,
        )

    async def embed_texts(self, model: str, digest: str, texts: Sequence[str], timeout_s: float) -> TextEmbeddings:
        """See EmbedderClient."""
        request = pb.EmbedTextsRequest(model=model, digest=bytes.fromhex(digest), texts=texts)
        with translated(self._target):
            response = await self._stub.EmbedTexts(request, timeout=timeout_s)
        return TextEmbeddings(tuple(response.vectors), response.queue_seconds, response.inference_seconds)

    async def classify_images(
        self, model: str, digest: str, classes: LabelTexts, images: Sequence[bytes], timeout_s: float
    ) -> Classified:
        """See EmbedderClient."""
        request = _classify_request(model, digest, classes)
        request.images.extend(images)
        return await self._classify(request, timeout_s)

    async def classify_vectors(
        self, model: str, digest: str, classes: LabelTexts, vectors: Sequence[bytes], timeout_s: float
    ) -> Classified:
        """See EmbedderClient."""
        request = _classify_request(model, digest, classes)
        request.vectors.extend(vectors)
        return await self._classify(request, timeout_s)

    async def _classify(self, request: pb.ClassifyImagesRequest, timeout_s: float) -> Classified:
        with translated(self._target):
            response = await self._stub.ClassifyImages(request, timeout=timeout_s)
        return Classified(
            tuple(map(_to_probabilities, response.results)),
            response.exclusive,
            response.queue_seconds,
            response.decode_seconds,
            response.inference_seconds,
        )

    async def detect_regions(
        self, space: Space, image_model: str, images: Sequence[bytes], timeout_s: float, boxes: Sequence[Box] = ()
    ) -> DetectedRegions:
        """See EmbedderClient."""
        request = pb.DetectRegionsRequest(
            settings=region_settings_to_wire(settings_of(space)),
            image_model=image_model,
            digest=bytes.fromhex(space.digest),
            images=images,
            boxes=map(box_to_wire, boxes),
        )
        with translated(self._target):
            response = await self._stub.DetectRegions(request, timeout=timeout_s)
        return DetectedRegions(
            tuple(map(_to_regions, response.results)),
            response.queue_seconds,
            response.decode_seconds,
            response.inference_seconds,
        )

    async def resolve_regions(self, settings: RegionSettings, image_model: str, timeout_s: float) -> ResolvedModel:
        """See EmbedderClient."""
        request = pb.ResolveRegionsRequest(settings=region_settings_to_wire(settings), image_model=image_model)
        with translated(self._target):
            response = await self._stub.ResolveRegions(request, timeout=timeout_s)
        return ResolvedModel(response.detector, response.dim, response.digest.hex())

    async def resolve_model(self, model: str, timeout_s: float) -> ResolvedModel:
        """See EmbedderClient."""
        with translated(self._target):
            response = await self._stub.ResolveModel(pb.ResolveModelRequest(model=model), timeout=timeout_s)
        return ResolvedModel(response.model, response.dim, response.digest.hex(), response.reason, response.takes_text)

    async def list_models(self, timeout_s: float) -> list[Model]:
        """See EmbedderClient."""
        with translated(self._target):
            response = await self._stub.ListModels(pb.ListModelsRequest(), timeout=timeout_s)
        return [listed_model_from_wire(each) for each in response.models]

    async def try_fitted(
        self, kind: FittedKind, name: str, base_model: str, content: bytes, timeout_s: float
    ) -> ResolvedModel:
        """See EmbedderClient."""
        wire = fitted_kind_to_wire(kind)
        request = pb.TryFittedRequest(kind=wire, name=name, base_model=base_model, content=content)
        with translated(self._target):
            response = await self._stub.TryFitted(request, timeout=timeout_s)
        return ResolvedModel(kind.model(name, response.base_model), response.dim, response.digest.hex())

    async def render_thumbnail(self, image: bytes, max_side: int, timeout_s: float) -> bytes:
        """See EmbedderClient."""
        request = pb.RenderThumbnailRequest(image=image, max_side=max_side)
        with translated(self._target):
            response = await self._stub.RenderThumbnail(request, timeout=timeout_s)
        return response.jpeg

    async def close(self) -> None:
        """See EmbedderClient."""
        await self._channels.close()


def settings_of(space: Space) -> RegionSettings:
    """Return what the regions of a space are made by. Raises SpaceNotFound for a space of whole pictures."""
    if space.regions is None:
        raise SpaceNotFound(f"space {space.name!r} holds whole pictures: search a space of regions", field="space")
    return space.regions


def _classify_request(model: str, digest: str, classes: LabelTexts) -> pb.ClassifyImagesRequest:
    return pb.ClassifyImagesRequest(
        model=model, digest=bytes.fromhex(digest), labels=classes.labels, templates=classes.templates
    )


def _to_probabilities(classes: pb.ImageClasses) -> tuple[float, ...] | ItemError:
    return item_error_from_wire(classes.error) if classes.HasField("error") else tuple(classes.probabilities)


def _to_regions(found: pb.ImageRegions) -> FoundRegions | ItemError:
    if found.HasField("error"):
        return item_error_from_wire(found.error)
    row_bytes = 4 * found.dim
    vectors = (found.vectors[row * row_bytes : (row + 1) * row_bytes] for row in range(len(found.regions)))
    return FoundRegions(tuple(map(region_from_wire, found.regions)), tuple(vectors), found.width, found.height)


def _to_result(embedding: pb.ImageEmbedding) -> bytes | ItemError:
    if embedding.WhichOneof("result") == "vector":
        return embedding.vector
    return item_error_from_wire(embedding.error)


@contextmanager
def translated(target: str) -> Iterator[None]:
    """Raise what a call to the workers at `target` failed with as an error of ours."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _to_domain(error, target) from error


def _to_domain(error: grpc.aio.AioRpcError, target: str) -> PixvecError:
    found = from_rpc_error(error)
    if type(found) is Unavailable:
        return EmbedderUnavailable(
            f"no worker answers at {target} ({found.message}); check that one is running, or try again in a moment"
        )
    return found
