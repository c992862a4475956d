"""AdminService over the fake store: one searcher holds everything, and every snapshot is sound."""

import uuid
from collections.abc import Iterable

import grpc

from pixvec.api.v1 import admin_service_pb2 as pb
from pixvec.api.v1 import collection_service_pb2 as pb_collection
from pixvec.api.v1 import image_service_pb2
from pixvec.api.v1.admin_service_pb2_grpc import AdminServiceServicer
from pixvec.client.testing.servicers import Servicer
from pixvec.client.testing.store import Store, StoredCollection, now
from pixvec.errors import SnapshotNotFound, Unavailable

_SEARCHER = "fake-searcher"
_IMAGE_BYTES = 32


class FakeAdmin(Servicer, AdminServiceServicer):
    """A collection has one shard here."""

    def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: grpc.ServicerContext
    ) -> pb.CreateSnapshotResponse:
        """Remember how the collection stands."""
        with self._server.answering("CreateSnapshot", request, context) as store:
            made = _snapshot(store.collection(request.collection))
            if store.snapshot_failure:
                error = image_service_pb2.ItemError(reason=Unavailable.reason, message=store.snapshot_failure)
                return pb.CreateSnapshotResponse(shards=[pb.ShardSnapshot(shard=0, error=error)])
            store.snapshots.insert(0, made)
            return pb.CreateSnapshotResponse(
                shards=[pb.ShardSnapshot(shard=0, snapshot=made, stored_bytes=made.size_bytes)]
            )

    def ListSnapshots(
        self, request: pb.ListSnapshotsRequest, context: grpc.ServicerContext
    ) -> pb.ListSnapshotsResponse:
        """Return what is remembered of collections that are there."""
        with self._server.answering("ListSnapshots", request, context) as store:
            if request.collection:
                store.collection(request.collection)
            return pb.ListSnapshotsResponse(snapshots=_of(store, request.collection))

    def RestoreCollection(
        self, request: pb.RestoreCollectionRequest, context: grpc.ServicerContext
    ) -> pb.RestoreCollectionResponse:
        """Renew the collection's epoch; its images stay as they are."""
        with self._server.answering("RestoreCollection", request, context) as store:
            collection = store.collection(request.collection)
            found = [] if request.from_feed else _of(store, request.collection)
            named = [each for each in found if each.snapshot_id in request.snapshot_ids]
            if not request.from_feed and (not found or len(named) < len(request.snapshot_ids)):
                raise SnapshotNotFound(f"collection {request.collection!r} has no such snapshot", field="snapshot_ids")
            collection.epoch = str(uuid.uuid4())
            base = (named or found or [pb.Snapshot()])[0]
            restored = pb.RestoredShard(
                epoch=collection.epoch,
                snapshot_id=base.snapshot_id,
                snapshot_seq=base.seq,
                head_seq=collection.seq,
            )
            return pb.RestoreCollectionResponse(shards=[restored])

    def GetTopology(self, request: pb.GetTopologyRequest, context: grpc.ServicerContext) -> pb.GetTopologyResponse:
        """Describe the one searcher and what it holds."""
        with self._server.answering("GetTopology", request, context) as store:
            if request.collection:
                store.collection(request.collection)
            names = [name for name in sorted(store.collections) if request.collection in ("", name)]
            searcher = pb.SearcherStanding(
                searcher_id=_SEARCHER,
                address=f"{_SEARCHER}:50071",
                live=True,
                reachable=True,
                memory_bytes=2**20,
                shard_count=len(store.collections),
            )
            return pb.GetTopologyResponse(
                collections=[_topology(store.collections[name]) for name in names], searchers=[searcher]
            )


def _of(store: Store, collection: str) -> list[pb.Snapshot]:
    return [each for each in store.snapshots if each.collection in _names(store, collection)]


def _names(store: Store, collection: str) -> Iterable[str]:
    return [collection] if collection else store.collections


def _snapshot(collection: StoredCollection) -> pb.Snapshot:
    snapshot_id = str(uuid.uuid4())
    return pb.Snapshot(
        snapshot_id=snapshot_id,
        collection=collection.message.name,
        epoch=collection.epoch,
        seq=collection.seq,
        location=f"backups/1/0/manifests/{snapshot_id}.json",
        image_count=len(collection.images),
        size_bytes=_IMAGE_BYTES * len(collection.images),
        verified=True,
        create_time=now(),
    )


def _topology(collection: StoredCollection) -> pb.CollectionTopology:
    replica = pb.ReplicaStanding(
        searcher_id=_SEARCHER,
        ready=True,
        applied_seq=collection.seq,
        vector_bytes=_IMAGE_BYTES * len(collection.images),
        image_count=len(collection.images),
        index=pb_collection.IndexStanding(growing_rows=len(collection.images) * len(collection.message.spaces)),
    )
    shard = pb.ShardTopology(
        epoch=collection.epoch, head_seq=collection.seq, image_count=len(collection.images), replicas=[replica]
    )
    return pb.CollectionTopology(collection=collection.message.name, shards=[shard])
