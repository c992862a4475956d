"""`client.admin`: what the SDK offers those who run a deployment."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import grpc

from pixvec.api.v1 import admin_service_pb2 as pb
from pixvec.api.v1.admin_service_pb2_grpc import AdminServiceStub
from pixvec.client import admin_values
from pixvec.client.admin_values import RestoredShard, ShardSnapshot, SnapshotInfo, Topology
from pixvec.client.tokens import SessionTokens
from pixvec.domain import SeqToken, ShardPosition

# A large index takes long to read.
LONG_TIMEOUT_S = 6 * 3600.0

# Method, request, time in seconds: how a client calls.
Call: TypeAlias = Callable[[Any, Any, float | None], Any]
AsyncCall: TypeAlias = Callable[[Any, Any, float | None], Awaitable[Any]]


class Admin:
    """Snapshots of collections, and how everything stands."""

    def __init__(self, channel: grpc.Channel, call: Call, tokens: SessionTokens) -> None:
        self._stub = AdminServiceStub(channel)
        self._call = call
        self._tokens = tokens

    def create_snapshot(self, collection: str, *, timeout_s: float = LONG_TIMEOUT_S) -> list[ShardSnapshot]:
        """Back a collection's index up into the blob store, and read every byte back. One answer a shard: a snapshot,
        or the error. Raises CollectionNotFound."""
        request = pb.CreateSnapshotRequest(collection=collection)
        return admin_values.shard_snapshots(self._call(self._stub.CreateSnapshot, request, timeout_s))

    def list_snapshots(self, collection: str = "") -> list[SnapshotInfo]:
        """Return the snapshots of one collection or of all, the newest first. Raises CollectionNotFound."""
        request = pb.ListSnapshotsRequest(collection=collection)
        return admin_values.snapshots(self._call(self._stub.ListSnapshots, request, None).snapshots)

    def restore_collection(
        self,
        collection: str,
        *,
        snapshot_ids: Iterable[str] = (),
        from_feed: bool = False,
        timeout_s: float = LONG_TIMEOUT_S,
    ) -> list[RestoredShard]:
        """Have every searcher load a collection's index anew: from its newest snapshots or those named, each read
        through first, and the change feed above them; or `from_feed` alone, for a feed that is whole. The searches of
        this client wait until that is done.

        Raises CollectionNotFound, SnapshotNotFound, BackupDamaged, FailedPrecondition.
        """
        request = _restore_request(collection, snapshot_ids, from_feed=from_feed)
        restored = admin_values.restored_shards(self._call(self._stub.RestoreCollection, request, timeout_s))
        _wait_for(self._tokens, collection, restored)
        return restored

    def get_topology(self, collection: str = "") -> Topology:
        """Return who holds what of one collection or of all, and how far each has come. Raises CollectionNotFound."""
        request = pb.GetTopologyRequest(collection=collection)
        return admin_values.topology(self._call(self._stub.GetTopology, request, None))


class AsyncAdmin:
    """Admin with an event loop: the same methods, awaited."""

    def __init__(self, channel: grpc.aio.Channel, call: AsyncCall, tokens: SessionTokens) -> None:
        self._stub = AdminServiceStub(channel)
        self._call = call
        self._tokens = tokens

    async def create_snapshot(self, collection: str, *, timeout_s: float = LONG_TIMEOUT_S) -> list[ShardSnapshot]:
        """See Admin."""
        request = pb.CreateSnapshotRequest(collection=collection)
        return admin_values.shard_snapshots(await self._call(self._stub.CreateSnapshot, request, timeout_s))

    async def list_snapshots(self, collection: str = "") -> list[SnapshotInfo]:
        """See Admin."""
        request = pb.ListSnapshotsRequest(collection=collection)
        return admin_values.snapshots((await self._call(self._stub.ListSnapshots, request, None)).snapshots)

    async def restore_collection(
        self,
        collection: str,
        *,
        snapshot_ids: Iterable[str] = (),
        from_feed: bool = False,
        timeout_s: float = LONG_TIMEOUT_S,
    ) -> list[RestoredShard]:
        """See Admin."""
        request = _restore_request(collection, snapshot_ids, from_feed=from_feed)
        restored = admin_values.restored_shards(await self._call(self._stub.RestoreCollection, request, timeout_s))
        _wait_for(self._tokens, collection, restored)
        return restored

    async def get_topology(self, collection: str = "") -> Topology:
        """See Admin."""
        request = pb.GetTopologyRequest(collection=collection)
        return admin_values.topology(await self._call(self._stub.GetTopology, request, None))


def _restore_request(collection: str, snapshot_ids: Iterable[str], *, from_feed: bool) -> pb.RestoreCollectionRequest:
    return pb.RestoreCollectionRequest(collection=collection, snapshot_ids=snapshot_ids, from_feed=from_feed)


def _wait_for(tokens: SessionTokens, collection: str, restored: Iterable[RestoredShard]) -> None:
    """Have searches wait until every shard has been loaded anew: what was written before is under that epoch now."""
    tokens.forget(collection)
    tokens.remember(
        collection, SeqToken(tuple(ShardPosition(each.shard, each.epoch, each.head_seq) for each in restored))
    )
