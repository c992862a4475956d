"""Comparing pictures on the workers, as the gateway asks for it: their EmbedderService, and its twin in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pixvec.errors import ContentNotFound, PictureNotRecognised
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.channels import AsyncChannels
from pixvec.rpc.embedder_client import translated


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of comparing a candidate with the query. Not `compared`: there was no time left, or its bytes could
    not be had. `inliers`: keypoints that agree, 0 where neither lies in the other; `quad_xy`: where the query's corners
    lie, x and y in shares of the candidate's width and height, from its upper left corner clockwise."""

    compared: bool
    inliers: int = 0
    quad_xy: tuple[tuple[float, float], ...] = ()


class Comparer(Protocol):
    """Every method raises EmbedderUnavailable when no worker can be reached, and Overloaded."""

    async def hash_image(self, image: bytes, timeout_s: float) -> int | None:
        """Return the perceptual hash of a picture, None for a plain one. Raises PictureError."""

    async def compare(
        self, query: bytes | str, candidates: Sequence[str], limit_s: float, timeout_s: float
    ) -> list[Comparison]:
        """Compare the query, bytes or a content hash, with up to 64 candidates by their content hashes, for up to
        `limit_s` seconds. Raises PictureError and ContentNotFound for the query."""

    async def close(self) -> None:
        """Let go of the connection."""


class GrpcComparer:
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

    async def hash_image(self, image: bytes, timeout_s: float) -> int | None:
        """See Comparer."""
        with translated(self._target):
            response = await self._stub.HashImage(pb.HashImageRequest(image=image), timeout=timeout_s)
        return response.perceptual_hash if response.HasField("perceptual_hash") else None

    async def compare(
        self, query: bytes | str, candidates: Sequence[str], limit_s: float, timeout_s: float
    ) -> list[Comparison]:
        """See Comparer."""
        request = pb.CompareImagesRequest(candidates=candidates, limit_seconds=limit_s)
        if isinstance(query, bytes):
            request.image = query
        else:
            request.content_hash = query
        with translated(self._target):
            response = await self._stub.CompareImages(request, timeout=timeout_s)
        return [_from_wire(each) for each in response.comparisons]

    async def close(self) -> None:
        """See Comparer."""
        await self._channels.close()


class MemoryComparer:
    """Stands in for a worker: pictures are words, and one lies in another whose words include all of its own, or the
    other way round. `read` returns stored pictures by content hash; `b"bad"` at the start makes no picture."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self.calls: list[str] = []

    async def hash_image(self, image: bytes, timeout_s: float) -> int | None:  # noqa: ARG002
        """See Comparer. The hash is of the first word; of a picture without any there is none."""
        self.calls.append("hash_image")
        _check(image)
        first = image.split()[:1]
        return int.from_bytes(first[0].ljust(8, b"\0")[:8], "big") if first else None

    async def compare(
        self,
        query: bytes | str,
        candidates: Sequence[str],
        limit_s: float,  # noqa: ARG002
        timeout_s: float,  # noqa: ARG002
    ) -> list[Comparison]:
        """See Comparer. As many keypoints agree as words are shared."""
        self.calls.append("compare")
        content = query if isinstance(query, bytes) else self._read(query)
        _check(content)
        return [self._compare(set(content.split()), each) for each in candidates]

    async def close(self) -> None:
        """Nothing is held."""

    def _compare(self, words: set[bytes], candidate: str) -> Comparison:
        try:
            others = set(self._read(candidate).split())
        except ContentNotFound:
            return Comparison(compared=False)
        if not (words <= others or others <= words):
            return Comparison(compared=True)
        return Comparison(True, len(words & others), ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))


def _check(content: bytes) -> None:
    if content.startswith(b"bad"):
        raise PictureNotRecognised("no known image format")


def _from_wire(message: pb.Comparison) -> Comparison:
    numbers = iter(message.quad_xy)
    return Comparison(message.compared, message.inliers, tuple(zip(numbers, numbers, strict=True)))
