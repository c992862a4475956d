"""Comparing pictures: the in-memory twin, and the real client over a socket file, by one suite."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pixvec.errors import ContentNotFound, EmbedderUnavailable, PictureNotRecognised
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.comparer import Comparer, Comparison, GrpcComparer, MemoryComparer
from tests.contract.rpc_server import served
from tests.in_loop import in_loop

STORED = {"boat": b"boat lake sky", "crop": b"lake sky", "car": b"car road"}
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def read(content_hash: str) -> bytes:
    if content_hash not in STORED:
        raise ContentNotFound(f"no picture {content_hash}")
    return STORED[content_hash]


class Service(embedder_service_pb2_grpc.EmbedderServiceServicer):
    """A worker whose eyes are the in-memory twin's."""

    def __init__(self) -> None:
        self.twin = MemoryComparer(read)

    async def HashImage(self, request: pb.HashImageRequest, context: Any) -> pb.HashImageResponse:
        return pb.HashImageResponse(perceptual_hash=await self.twin.hash_image(request.image, 10))

    async def CompareImages(self, request: pb.CompareImagesRequest, context: Any) -> pb.CompareImagesResponse:
        query = request.image or request.content_hash
        found = await self.twin.compare(query, request.candidates, request.limit_seconds, 10)
        return pb.CompareImagesResponse(
            comparisons=[
                pb.Comparison(
                    compared=each.compared, inliers=each.inliers, quad_xy=[n for xy in each.quad_xy for n in xy]
                )
                for each in found
            ]
        )


@asynccontextmanager
async def memory() -> AsyncIterator[Comparer]:
    yield MemoryComparer(read)


@asynccontextmanager
async def grpc() -> AsyncIterator[Comparer]:
    add = functools.partial(embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server, Service())
    async with served(add) as handle:
        client = GrpcComparer(handle.address)
        yield client
        await client.close()


@pytest.fixture(params=[memory, grpc])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@in_loop
async def test_where_one_picture_lies_in_others(kind: Any) -> None:
    async with kind() as comparer:
        found = await comparer.compare(b"lake sky", ["boat", "car", "nobody", "crop"], 5, 10)
        assert found == [Comparison(True, 2, WHOLE), Comparison(True), Comparison(False), Comparison(True, 2, WHOLE)]
        assert await comparer.compare("crop", ["boat"], 5, 10) == [Comparison(True, 2, WHOLE)]


@in_loop
async def test_the_hash_of_a_picture_is_64_bits_or_none(kind: Any) -> None:
    async with kind() as comparer:
        assert await comparer.hash_image(b"\xff\xfe lake", 10) == 0xFFFE_0000_0000_0000
        assert await comparer.hash_image(b" ", 10) is None


@in_loop
async def test_what_is_wrong_with_the_query_is_told(kind: Any) -> None:
    async with kind() as comparer:
        with pytest.raises(PictureNotRecognised):
            await comparer.hash_image(b"bad", 10)
        with pytest.raises(PictureNotRecognised):
            await comparer.compare(b"bad", ["boat"], 5, 10)
        with pytest.raises(ContentNotFound):
            await comparer.compare("nobody", ["boat"], 5, 10)


@in_loop
async def test_no_worker_is_said_to_be_that(tmp_path: Any) -> None:
    client = GrpcComparer(f"unix:{tmp_path}/nobody.sock")
    async with asyncio.timeout(30):
        for call in (client.hash_image(b"lake", 1), client.compare(b"lake", ["boat"], 1, 1)):
            with pytest.raises(EmbedderUnavailable, match="no worker answers"):
                await call
    await client.close()
