"""AdminService."""

from typing import Any

from pixvec.api.v1 import admin_service_pb2 as pb
from pixvec.api.v1 import admin_service_pb2_grpc
from pixvec.rpc.deadlines import time_left_s
from services.gateway.admin_converters import to_restored_shard, to_shard_snapshot, to_snapshot, to_topology
from services.gateway.query import Deadline
from services.gateway.snapshots import Snapshots
from services.gateway.topology import Topology

# For callers who name no deadline: a large shard takes long to read.
_DEFAULT_DEADLINE_S = 6 * 3600.0


class AdminService(admin_service_pb2_grpc.AdminServiceServicer):
    """For those who run a deployment."""

    def __init__(self, snapshots: Snapshots, topology: Topology) -> None:
        self._snapshots = snapshots
        self._topology = topology

    async def CreateSnapshot(self, request: pb.CreateSnapshotRequest, context: Any) -> pb.CreateSnapshotResponse:
        """Back a collection's index up."""
        deadline = Deadline(time_left_s(context, _DEFAULT_DEADLINE_S))
        backups = await self._snapshots.create(request.collection, deadline)
        return pb.CreateSnapshotResponse(shards=[to_shard_snapshot(each, request.collection) for each in backups])

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: Any) -> pb.ListSnapshotsResponse:  # noqa: ARG002
        """List verified snapshots."""
        found = await self._snapshots.of_collection(request.collection)
        return pb.ListSnapshotsResponse(snapshots=[to_snapshot(base, name) for base, name in found])

    async def RestoreCollection(
        self,
        request: pb.RestoreCollectionRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.RestoreCollectionResponse:
        """Have a collection's index begun anew."""
        restored = await self._snapshots.restore(
            request.collection, list(request.snapshot_ids), from_feed=request.from_feed
        )
        return pb.RestoreCollectionResponse(shards=map(to_restored_shard, restored))

    async def GetTopology(self, request: pb.GetTopologyRequest, context: Any) -> pb.GetTopologyResponse:  # noqa: ARG002
        """Describe who holds what."""
        return to_topology(await self._topology.describe(request.collection))
