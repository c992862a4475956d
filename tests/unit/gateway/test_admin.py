"""Snapshots, restore and topology, as a gateway gives them to those who run a deployment."""

import hashlib
import uuid
from pathlib import Path

import pytest

from pixvec.api.v1 import admin_service_pb2 as pb
from pixvec.backups.manifest import read_manifest
from pixvec.backups.storing import NewBackup, ShardFile, store_backup
from pixvec.blobs.store import MemoryBlobStore
from pixvec.catalogue.bases import BaseContent
from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import IndexKind, IndexStanding, Metric, ShardPosition, Space
from pixvec.errors import (
    BackupDamaged,
    CollectionNotFound,
    FailedPrecondition,
    InvalidRequest,
    ShardUnavailable,
    SnapshotNotFound,
)
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.index_settings import standing_from_wire
from pixvec.rpc.searcher_admin import CreatedBase, HeldStatus, MemorySearcherAdmin, SearcherStatus
from services.gateway.admin_service import AdminService
from services.gateway.directory import Directory
from services.gateway.snapshots import Snapshots
from services.gateway.topology import Topology
from tests.in_loop import in_loop
from tests.unit.gateway.writing import FakeContext

CONTEXT = FakeContext()


class Side:
    """An admin service over twins: a collection `photos` whose shards two searchers hold ready."""

    def __init__(self, folder: Path, shards: int = 2) -> None:
        self.catalogue = in_memory()
        self.blobs = MemoryBlobStore()
        self.source = folder / "rows"
        self.source.write_bytes(b"rows")
        topology = self.catalogue.topology
        for name in ("a", "b"):
            topology.heartbeat(name, name, [], lease_s=3600)
        space = Space("image", "fake", 8, Metric.COSINE, "ab" * 32)
        self.photos = self.catalogue.collections.create("photos", [space], shards, 2)
        for name in ("a", "b"):
            reports = [ShardReport(self.photos.collection_id, shard, True, 5) for shard in range(shards)]
            topology.heartbeat(name, name, reports, lease_s=3600)
        self.asked: list[tuple[str, int]] = []
        self.searchers = MemorySearcherAdmin(self.make_base)
        sql, files = BlockingCalls("database", 2), BlockingCalls("files", 1)
        directory = Directory(self.catalogue, sql)
        snapshots = Snapshots(directory, self.catalogue, self.searchers, self.blobs, sql, files)
        self.service = AdminService(snapshots, Topology(directory, topology, self.searchers, sql))

    def make_base(self, address: str, collection_id: int, at_least: ShardPosition) -> CreatedBase:
        """Do what a searcher does."""
        shard = at_least.shard
        assert at_least.epoch == self.epoch(shard)
        self.asked.append((address, shard))
        bases = self.catalogue.bases
        opened = bases.begin(collection_id, shard, self.epoch(shard))
        content = self.source.read_bytes()
        file = ShardFile("snapshot/rows", self.source, len(content), hashlib.sha256(content).hexdigest())
        new = NewBackup(opened.base_id, collection_id, shard, opened.epoch, 3, 7)
        stored = store_backup(self.blobs, new, [file])
        bases.finish(opened.base_id, BaseContent(3, stored.manifest, stored.manifest_sha256, 7, stored.size_bytes))
        return CreatedBase(opened.base_id, stored.stored_bytes)

    def epoch(self, shard: int) -> str:
        return self.catalogue.feed_reader.read(self.photos.collection_id, shard, 0, 1).epoch

    def epochs(self) -> list[str]:
        return [self.epoch(shard) for shard in range(self.photos.shard_count)]

    def spoil(self, base_id: str) -> None:
        (base,) = (each for each in self.catalogue.bases.of_collection() if each.base_id == base_id)
        (file,) = read_manifest(self.blobs, base).files
        self.blobs.remove(file.name)

    async def create(self) -> pb.CreateSnapshotResponse:
        return await self.service.CreateSnapshot(pb.CreateSnapshotRequest(collection="photos"), CONTEXT)

    async def listed(self, collection: str = "") -> list[pb.Snapshot]:
        request = pb.ListSnapshotsRequest(collection=collection)
        return list((await self.service.ListSnapshots(request, CONTEXT)).snapshots)

    async def restore(self, *ids: str, from_feed: bool = False) -> list[pb.RestoredShard]:
        request = pb.RestoreCollectionRequest(collection="photos", snapshot_ids=ids, from_feed=from_feed)
        return list((await self.service.RestoreCollection(request, CONTEXT)).shards)


@in_loop
async def test_every_shard_is_backed_up_and_listed(tmp_path: Path) -> None:
    side = Side(tmp_path)
    shards = (await side.create()).shards
    assert [each.shard for each in shards] == [0, 1]
    for each in shards:
        assert not each.HasField("error")
        assert (each.stored_bytes, each.snapshot.size_bytes, each.snapshot.image_count) == (4, 4, 7)
        assert (each.snapshot.collection, each.snapshot.seq, each.snapshot.verified) == ("photos", 3, True)
        assert each.snapshot.epoch == side.epoch(each.shard)
        assert side.blobs.get_named(each.snapshot.location)
    assert sorted(shard for _, shard in side.asked) == [0, 1]
    listed = await side.listed()
    assert {each.snapshot_id for each in listed} == {each.snapshot.snapshot_id for each in shards}
    assert await side.listed("photos") == listed
    side.catalogue.collections.delete("photos")
    assert await side.listed() == []


@in_loop
async def test_another_replica_is_asked_when_the_first_does_not_answer(tmp_path: Path) -> None:
    side = Side(tmp_path, shards=1)
    side.searchers.down = {"a"}
    (shard,) = (await side.create()).shards
    assert shard.snapshot.verified
    assert side.asked == [("b", 0)]


@in_loop
async def test_a_shard_that_fails_is_told_in_its_place(tmp_path: Path) -> None:
    side = Side(tmp_path)
    make = side.make_base

    def one_fails(address: str, collection_id: int, at_least: ShardPosition) -> CreatedBase:
        if at_least.shard == 1:
            raise FailedPrecondition("this searcher has no blob store")
        return make(address, collection_id, at_least)

    side.searchers.make_base = one_fails
    good, bad = (await side.create()).shards
    assert good.snapshot.verified
    assert not bad.HasField("snapshot")
    assert (bad.error.reason, bad.error.message) == ("FAILED_PRECONDITION", "this searcher has no blob store")
    side.searchers.down = {"a", "b"}
    shards = (await side.create()).shards
    assert {(each.error.reason, each.error.retryable) for each in shards} == {(ShardUnavailable.reason, True)}


@in_loop
async def test_a_collection_that_is_not_there(tmp_path: Path) -> None:
    side = Side(tmp_path)
    for call in (
        side.service.CreateSnapshot(pb.CreateSnapshotRequest(collection="cats"), CONTEXT),
        side.listed("cats"),
        side.service.RestoreCollection(pb.RestoreCollectionRequest(collection="cats"), CONTEXT),
        side.service.GetTopology(pb.GetTopologyRequest(collection="cats"), CONTEXT),
    ):
        with pytest.raises(CollectionNotFound):
            await call


@in_loop
async def test_a_restore_takes_the_newest_snapshot_of_each_shard_or_those_named(tmp_path: Path) -> None:
    side = Side(tmp_path)
    first = {each.shard: each.snapshot.snapshot_id for each in (await side.create()).shards}
    second = {each.shard: each.snapshot.snapshot_id for each in (await side.create()).shards}
    before = side.epochs()
    restored = await side.restore()
    assert [each.snapshot_id for each in restored] == [second[0], second[1]]
    assert [each.epoch for each in restored] == side.epochs()
    assert not set(before) & set(side.epochs())
    assert [(each.snapshot_seq, each.head_seq) for each in restored] == [(3, 3), (3, 3)]
    restored = await side.restore(first[1])
    assert [each.snapshot_id for each in restored] == [second[0], first[1]]


@in_loop
async def test_a_restore_from_the_feed_alone(tmp_path: Path) -> None:
    side = Side(tmp_path)
    before = side.epochs()
    restored = await side.restore(from_feed=True)
    assert [(each.snapshot_id, each.snapshot_seq) for each in restored] == [("", 0), ("", 0)]
    assert not set(before) & set(side.epochs())


@in_loop
async def test_a_damaged_snapshot_is_refused_and_noted_and_nothing_changes(tmp_path: Path) -> None:
    side = Side(tmp_path)
    older = {each.shard: each.snapshot.snapshot_id for each in (await side.create()).shards}
    newer = {each.shard: each.snapshot.snapshot_id for each in (await side.create()).shards}
    side.spoil(newer[1])
    before = side.epochs()
    with pytest.raises(BackupDamaged, match=newer[1]):
        await side.restore()
    assert side.epochs() == before
    damaged = [each for each in await side.listed() if not each.verified]
    assert [each.snapshot_id for each in damaged] == [newer[1]]
    assert "missing" in damaged[0].damage
    restored = await side.restore()
    assert [each.snapshot_id for each in restored] == [newer[0], older[1]]


@in_loop
async def test_what_cannot_be_restored_from_is_refused(tmp_path: Path) -> None:
    side = Side(tmp_path)
    with pytest.raises(SnapshotNotFound, match="no sound snapshot"):
        await side.restore()
    first, second = await side.create(), await side.create()
    ids = [first.shards[0].snapshot.snapshot_id, second.shards[0].snapshot.snapshot_id]
    before = side.epochs()
    with pytest.raises(InvalidRequest, match="two of the snapshots are of shard 0"):
        await side.restore(*ids)
    with pytest.raises(SnapshotNotFound, match="no verified snapshot"):
        await side.restore(str(uuid.uuid4()))
    with pytest.raises(InvalidRequest, match="not both"):
        await side.restore(ids[0], from_feed=True)
    assert side.epochs() == before


@in_loop
async def test_the_topology_tells_who_holds_what_and_how_far_each_has_come(tmp_path: Path) -> None:
    side = Side(tmp_path)
    key = side.photos.collection_id
    index = IndexStanding(2, (IndexKind.HNSW,), 7, 30, writes_pushed_back=True, build_error="full")
    side.searchers.statuses["a"] = SearcherStatus(
        2**30, {(key, 0): HeldStatus(9, 8, 4096, 6, index), (key, 1): HeldStatus(7, 7, 1, 1)}
    )
    side.searchers.down = {"b"}
    topology = await side.service.GetTopology(pb.GetTopologyRequest(), CONTEXT)
    (photos,) = topology.collections
    assert (photos.collection, [shard.shard for shard in photos.shards]) == ("photos", [0, 1])
    told, silent = photos.shards[0].replicas
    assert (told.searcher_id, told.ready, told.applied_seq, told.snapshot_seq, told.vector_bytes) == (
        "a",
        True,
        9,
        8,
        4096,
    )
    assert told.image_count == 6
    assert standing_from_wire(told.index) == index
    assert not silent.HasField("index")
    assert (silent.searcher_id, silent.ready, silent.applied_seq, silent.snapshot_seq) == ("b", True, 0, 5)
    a, b = topology.searchers
    assert (a.searcher_id, a.address, a.live, a.reachable, a.memory_bytes, a.shard_count) == (
        "a",
        "a",
        True,
        True,
        2**30,
        2,
    )
    assert (b.live, b.reachable, b.memory_bytes) == (True, False, 0)
    assert photos.shards[0].epoch == side.epoch(0)
    assert await side.service.GetTopology(pb.GetTopologyRequest(collection="photos"), CONTEXT) == topology


@in_loop
async def test_a_snapshot_in_retirement_can_still_be_named(tmp_path: Path) -> None:
    side = Side(tmp_path, shards=1)
    ids = [(await side.create()).shards[0].snapshot.snapshot_id for _ in range(3)]
    side.catalogue.bases.retire(2, 3600)
    assert {each.snapshot_id for each in await side.listed()} == set(ids[1:])
    assert [each.snapshot_id for each in await side.restore(ids[0])] == [ids[0]]
