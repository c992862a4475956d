"""What the gateway asks searchers for on behalf of those who run a deployment: the in-memory twin, and the real one."""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pixvec.domain import IndexKind, IndexStanding, ShardPosition
from pixvec.errors import BackupDamaged, PixvecError, ShardUnavailable, Unavailable
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.conversions import position_from_wire
from pixvec.rpc.index_settings import standing_to_wire
from pixvec.rpc.searcher_admin import (
    CreatedBase,
    GrpcSearcherAdmin,
    HeldStatus,
    MemorySearcherAdmin,
    SearcherAdmin,
    SearcherStatus,
)
from tests.contract.rpc_server import served
from tests.in_loop import in_loop

INDEX = IndexStanding(2, (IndexKind.HNSW, IndexKind.IVF_PQ), 7, 30, writes_pushed_back=True, build_error="full")
STATUS = SearcherStatus(12_345, {(7, 0): HeldStatus(10, 8, 4096, 6, INDEX), (7, 1): HeldStatus(0, 0, 0, 0)})


class SearcherService(searcher_service_pb2_grpc.SearcherServiceServicer):
    """A searcher that answers as the in-memory twin does of address `memory`."""

    def __init__(self, twin: MemorySearcherAdmin) -> None:
        self.twin = twin

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusResponse:
        status = await self.twin.status("memory", 1)
        shards = [
            pb.ShardStatus(
                collection_id=key[0],
                shard=key[1],
                applied_seq=held.applied_seq,
                snapshot_seq=held.snapshot_seq,
                vector_bytes=held.vector_bytes,
                index=standing_to_wire(held.index),
                image_count=held.image_count,
            )
            for key, held in status.shards.items()
        ]
        return pb.StatusResponse(searcher_id="s", shards=shards, memory_bytes=status.memory_bytes)

    async def CreateBase(self, request: pb.CreateBaseRequest, context: Any) -> pb.CreateBaseResponse:
        at_least = position_from_wire(request.at_least)
        assert at_least.shard == request.shard
        created = await self.twin.create_base("memory", request.collection_id, at_least, 1)
        return pb.CreateBaseResponse(base_id=created.base_id, stored_bytes=created.stored_bytes)


def at(shard: int) -> ShardPosition:
    return ShardPosition(shard, "epoch", 12)


def make_base(address: str, collection_id: int, at_least: ShardPosition) -> CreatedBase:
    troubles: dict[int, PixvecError] = {8: BackupDamaged("a file is missing"), 9: Unavailable("the disk is full")}
    if collection_id in troubles:
        raise troubles[collection_id]
    return CreatedBase(f"base-{collection_id}-{at_least.shard}-{at_least.epoch}-{at_least.seq}", 99)


@pytest.fixture(params=["memory", "grpc"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@asynccontextmanager
async def admin(kind: str) -> AsyncIterator[tuple[SearcherAdmin, str]]:
    """A client, and the address of the one searcher there is."""
    twin = MemorySearcherAdmin(make_base, {"memory": STATUS}, {"nobody"})
    if kind == "memory":
        yield twin, "memory"
        return
    add = functools.partial(searcher_service_pb2_grpc.add_SearcherServiceServicer_to_server, SearcherService(twin))
    async with served(add) as handle:
        client = GrpcSearcherAdmin()
        yield client, handle.address
        await client.close()


@in_loop
async def test_a_searcher_says_how_it_stands(kind: str) -> None:
    async with admin(kind) as (client, address):
        assert await client.status(address, 10) == STATUS


@in_loop
async def test_a_base_is_made_or_the_reason_told(kind: str) -> None:
    async with admin(kind) as (client, address):
        assert await client.create_base(address, 7, at(1), 10) == CreatedBase("base-7-1-epoch-12", 99)
        with pytest.raises(BackupDamaged, match="a file is missing"):
            await client.create_base(address, 8, at(0), 10)
        with pytest.raises(Unavailable, match="the disk is full"):
            await client.create_base(address, 9, at(0), 10)


@in_loop
async def test_nobody_is_said_to_be_that(kind: str, tmp_path: Path) -> None:
    async with admin(kind) as (client, _):
        nobody = "nobody" if kind == "memory" else f"unix:{tmp_path}/nobody.sock"
        for call in (client.status(nobody, 5), client.create_base(nobody, 7, at(0), 5)):
            with pytest.raises(ShardUnavailable, match="nobody"):
                await call
