"""The workers' EmbedderService, as the gateway calls it."""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import grpc

from pixvec.domain import ItemError
from pixvec.errors import (
    DigestMismatch,
    EmbedderUnavailable,
    ModelNotFound,
    PictureEmpty,
    PictureNotRecognised,
    PixvecError,
    Unavailable,
)
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.channels import AsyncChannels
from pixvec.rpc.conversions import item_error_from_wire
from pixvec.rpc.errors import from_rpc_error


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One result a picture, in order: a packed little-endian float32 vector, or why there is none. Times in seconds."""

    results: tuple[bytes | ItemError, ...]
    queue_s: float = 0.0
    decode_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that is loaded. `digest` is 64 hexadecimal digits; `reason` says why `auto` took it."""

    model: str
    dim: int
    digest: str
    reason: str = ""


class EmbedderClient(Protocol):
    """Embeds pictures and tells of models. Every method raises EmbedderUnavailable when no worker can be reached."""

    async def embed_images(self, model: str, digest: str, images: Sequence[bytes], timeout_s: float) -> Embeddings:
        """Embed pictures ahead of queued work. Raises ModelNotFound, DigestMismatch, Overloaded."""

    async def resolve_model(self, model: str, timeout_s: float) -> ResolvedModel:
        """Load a model, or the best that can be had for `auto`. Raises ModelNotFound, WeightsUnavailable."""

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

    async def embed_images(self, model: str, digest: str, images: Sequence[bytes], timeout_s: float) -> Embeddings:
        """See EmbedderClient."""
        request = pb.EmbedImagesRequest(model=model, digest=bytes.fromhex(digest), images=images)
        with _translated(self._target):
            response = await self._stub.EmbedImages(request, timeout=timeout_s)
        return Embeddings(
            tuple(_to_result(embedding) for embedding in response.embeddings),
            response.queue_seconds,
            response.decode_seconds,
            response.inference_seconds,
        )

    async def resolve_model(self, model: str, timeout_s: float) -> ResolvedModel:
        """See EmbedderClient."""
        with _translated(self._target):
            response = await self._stub.ResolveModel(pb.ResolveModelRequest(model=model), timeout=timeout_s)
        return ResolvedModel(response.model, response.dim, response.digest.hex(), response.reason)

    async def render_thumbnail(self, image: bytes, max_side: int, timeout_s: float) -> bytes:
        """See EmbedderClient."""
        request = pb.RenderThumbnailRequest(image=image, max_side=max_side)
        with _translated(self._target):
            response = await self._stub.RenderThumbnail(request, timeout=timeout_s)
        return response.jpeg

    async def close(self) -> None:
        """See EmbedderClient."""
        await self._channels.close()


class MemoryEmbedder:
    """Stands in for a worker: equal bytes give equal vectors, and `b"bad"` at the start makes a picture no picture.

    `models` maps names to what they resolve to; `auto` takes the first.
    """

    def __init__(
        self,
        models: Mapping[str, ResolvedModel] | None = None,
        *,
        embed: Callable[[bytes, int], bytes] | None = None,
    ) -> None:
        self.models = dict(models or {"fake": ResolvedModel("fake", 8, "ab" * 32)})
        self.calls: list[str] = []
        self._embed = embed or vector_from_bytes

    async def embed_images(
        self,
        model: str,
        digest: str,
        images: Sequence[bytes],
        timeout_s: float,  # noqa: ARG002
    ) -> Embeddings:
        """See EmbedderClient."""
        self.calls.append("embed_images")
        known = self._find(model)
        if digest and digest != known.digest:
            raise DigestMismatch(f"{model} has digest {known.digest}, asked for {digest}")
        return Embeddings(tuple(self._result(image, known.dim) for image in images))

    async def resolve_model(self, model: str, timeout_s: float) -> ResolvedModel:  # noqa: ARG002
        """See EmbedderClient."""
        self.calls.append("resolve_model")
        if model == "auto":
            best = next(iter(self.models.values()))
            return ResolvedModel(best.model, best.dim, best.digest, f"{best.model}: the first there is")
        return self._find(model)

    async def render_thumbnail(self, image: bytes, max_side: int, timeout_s: float) -> bytes:  # noqa: ARG002
        """See EmbedderClient. The thumbnail names its side and its source."""
        self.calls.append("render_thumbnail")
        if image.startswith(b"bad"):
            raise PictureNotRecognised("no known image format")
        return b"thumbnail %d of " % max_side + image

    async def close(self) -> None:
        """Nothing is held."""

    def _find(self, model: str) -> ResolvedModel:
        if model not in self.models:
            raise ModelNotFound(f"no model {model!r}; there are {', '.join(self.models)}", field="model")
        return self.models[model]

    def _result(self, image: bytes, dim: int) -> bytes | ItemError:
        if not image:
            return ItemError(PictureEmpty.reason, "no bytes")
        if image.startswith(b"bad"):
            return ItemError(PictureNotRecognised.reason, "no known image format")
        return self._embed(image, dim)


def vector_from_bytes(content: bytes, dim: int) -> bytes:
    """Return a packed vector of `dim` numbers in [-1, 1) that depends on the bytes alone."""
    words = hashlib.shake_256(content).digest(4 * dim)
    return struct.pack(f"<{dim}f", *(word / 2**31 for word in struct.unpack(f"<{dim}i", words)))


def _to_result(embedding: pb.ImageEmbedding) -> bytes | ItemError:
    if embedding.WhichOneof("result") == "vector":
        return embedding.vector
    return item_error_from_wire(embedding.error)


@contextmanager
def _translated(target: str) -> Iterator[None]:
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
