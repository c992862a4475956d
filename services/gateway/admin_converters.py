"""Messages of AdminService from plain values."""

from collections.abc import Iterable
from itertools import groupby

from pixvec.api.v1 import admin_service_pb2 as pb
from pixvec.catalogue.topology import Holder, ShardStanding
from pixvec.domain import BaseSnapshot
from pixvec.rpc.conversions import item_error_to_wire, time_to_wire
from pixvec.rpc.index_settings import standing_to_wire
from pixvec.rpc.searcher_admin import HeldStatus
from services.gateway.snapshots import RestoredShard, ShardBackup
from services.gateway.topology import TopologyView


def to_snapshot(base: BaseSnapshot, collection: str) -> pb.Snapshot:
    """Return a base as it travels."""
    return pb.Snapshot(
        snapshot_id=base.base_id,
        collection=collection,
        shard=base.shard,
        epoch=base.epoch,
        seq=base.seq,
        location=base.manifest,
        image_count=base.image_count,
        size_bytes=base.size_bytes,
        verified=base.is_sound,
        damage=base.damage,
        create_time=time_to_wire(base.created_at),
    )


def to_shard_snapshot(backup: ShardBackup, collection: str) -> pb.ShardSnapshot:
    """Return what became of a shard, as it travels."""
    return pb.ShardSnapshot(
        shard=backup.shard,
        snapshot=to_snapshot(backup.base, collection) if backup.base else None,
        stored_bytes=backup.stored_bytes,
        error=item_error_to_wire(backup.error) if backup.error else None,
    )


def to_restored_shard(restored: RestoredShard) -> pb.RestoredShard:
    """Return a shard that is begun anew, as it travels."""
    return pb.RestoredShard(
        shard=restored.position.shard,
        epoch=restored.position.epoch,
        snapshot_id=restored.base.base_id if restored.base else "",
        snapshot_seq=restored.base.seq if restored.base else 0,
        head_seq=restored.position.seq,
    )


def to_topology(view: TopologyView) -> pb.GetTopologyResponse:
    """Return who holds what, as it travels."""
    return pb.GetTopologyResponse(collections=_to_collections(view), searchers=_to_searchers(view))


def _to_collections(view: TopologyView) -> Iterable[pb.CollectionTopology]:
    for name, shards in groupby(view.shards, key=lambda shard: shard.collection):
        yield pb.CollectionTopology(collection=name, shards=[_to_shard(shard, view) for shard in shards])


def _to_shard(shard: ShardStanding, view: TopologyView) -> pb.ShardTopology:
    return pb.ShardTopology(
        shard=shard.shard,
        epoch=shard.epoch,
        head_seq=shard.head_seq,
        truncated_seq=shard.truncated_seq,
        image_count=shard.image_count,
        replicas=[_to_replica(holder, shard, view) for holder in shard.holders],
    )


def _to_replica(holder: Holder, shard: ShardStanding, view: TopologyView) -> pb.ReplicaStanding:
    status = view.statuses.get(holder.searcher_id)
    held = status.shards.get((shard.collection_id, shard.shard)) if status else None
    index = standing_to_wire(held.index) if held else None
    held = held or HeldStatus(0, holder.snapshot_seq, 0, 0)
    return pb.ReplicaStanding(
        searcher_id=holder.searcher_id,
        ready=holder.ready,
        applied_seq=held.applied_seq,
        snapshot_seq=held.snapshot_seq,
        vector_bytes=held.vector_bytes,
        image_count=held.image_count,
        index=index,
    )


def _to_searchers(view: TopologyView) -> Iterable[pb.SearcherStanding]:
    for searcher in view.searchers:
        status = view.statuses.get(searcher.searcher_id)
        yield pb.SearcherStanding(
            searcher_id=searcher.searcher_id,
            address=searcher.address,
            live=searcher.is_live,
            reachable=status is not None,
            memory_bytes=status.memory_bytes if status else 0,
            shard_count=len(status.shards) if status else 0,
        )
