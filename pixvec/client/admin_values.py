"""What the SDK tells those who run a deployment. All values are immutable."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from pixvec.api.v1 import admin_service_pb2 as pb
from pixvec.domain import IndexStanding, ItemError
from pixvec.rpc.conversions import item_error_from_wire, time_from_wire
from pixvec.rpc.index_settings import standing_from_wire


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """One shard in the blob store, as it stood at `seq`. `location`: the name there of the file that lists all others.
    `verified`: every byte was read back and found right, the last time somebody looked; if not, see `damage`."""

    snapshot_id: str
    collection: str
    shard: int
    epoch: str
    seq: int
    location: str
    image_count: int
    size_bytes: int
    verified: bool
    damage: str
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class ShardSnapshot:
    """What became of one shard: a snapshot, or the reason why there is none. `stored_bytes`: what had to be sent."""

    shard: int
    snapshot: SnapshotInfo | None
    stored_bytes: int
    error: ItemError | None


@dataclass(frozen=True, slots=True)
class RestoredShard:
    """A shard that is begun anew, in a new `epoch`: with a snapshot and the feed from there to `head_seq`, or, for an
    empty `snapshot_id`, with the feed alone."""

    shard: int
    epoch: str
    snapshot_id: str
    snapshot_seq: int
    head_seq: int


@dataclass(frozen=True, slots=True)
class ReplicaStanding:
    """A searcher that holds a shard, or is to hold it. Where it does not answer, only `snapshot_seq` is known."""

    searcher_id: str
    ready: bool
    applied_seq: int
    snapshot_seq: int
    vector_bytes: int
    image_count: int
    index: IndexStanding | None = None


@dataclass(frozen=True, slots=True)
class ShardTopology:
    """One shard and those who hold it. Of its feed, what lies at or below `truncated_seq` is in snapshots alone."""

    shard: int
    epoch: str
    head_seq: int
    truncated_seq: int
    image_count: int
    replicas: tuple[ReplicaStanding, ...]


@dataclass(frozen=True, slots=True)
class CollectionTopology:
    """One collection's shards."""

    collection: str
    shards: tuple[ShardTopology, ...]


@dataclass(frozen=True, slots=True)
class SearcherStanding:
    """One searcher process. `live`: its lease runs; `reachable`: it answered just now, or its memory is not known."""

    searcher_id: str
    address: str
    live: bool
    reachable: bool
    memory_bytes: int
    shard_count: int


@dataclass(frozen=True, slots=True)
class Topology:
    """Who holds what: collections by name, searchers by id."""

    collections: tuple[CollectionTopology, ...]
    searchers: tuple[SearcherStanding, ...]


def snapshots(messages: Iterable[pb.Snapshot]) -> list[SnapshotInfo]:
    """Return snapshots."""
    return [_snapshot(message) for message in messages]


def shard_snapshots(message: pb.CreateSnapshotResponse) -> list[ShardSnapshot]:
    """Return what became of each shard."""
    return [
        ShardSnapshot(
            each.shard,
            _snapshot(each.snapshot) if each.HasField("snapshot") else None,
            each.stored_bytes,
            item_error_from_wire(each.error) if each.HasField("error") else None,
        )
        for each in message.shards
    ]


def restored_shards(message: pb.RestoreCollectionResponse) -> list[RestoredShard]:
    """Return the shards that are begun anew."""
    return [
        RestoredShard(each.shard, each.epoch, each.snapshot_id, each.snapshot_seq, each.head_seq)
        for each in message.shards
    ]


def topology(message: pb.GetTopologyResponse) -> Topology:
    """Return who holds what."""
    collections = (CollectionTopology(each.collection, tuple(map(_shard, each.shards))) for each in message.collections)
    searchers = (
        SearcherStanding(each.searcher_id, each.address, each.live, each.reachable, each.memory_bytes, each.shard_count)
        for each in message.searchers
    )
    return Topology(tuple(collections), tuple(searchers))


def _snapshot(message: pb.Snapshot) -> SnapshotInfo:
    return SnapshotInfo(
        snapshot_id=message.snapshot_id,
        collection=message.collection,
        shard=message.shard,
        epoch=message.epoch,
        seq=message.seq,
        location=message.location,
        image_count=message.image_count,
        size_bytes=message.size_bytes,
        verified=message.verified,
        damage=message.damage,
        created_at=time_from_wire(message.create_time),
    )


def _shard(message: pb.ShardTopology) -> ShardTopology:
    replicas = (
        ReplicaStanding(
            each.searcher_id,
            each.ready,
            each.applied_seq,
            each.snapshot_seq,
            each.vector_bytes,
            each.image_count,
            standing_from_wire(each.index) if each.HasField("index") else None,
        )
        for each in message.replicas
    )
    return ShardTopology(
        message.shard, message.epoch, message.head_seq, message.truncated_seq, message.image_count, tuple(replicas)
    )
