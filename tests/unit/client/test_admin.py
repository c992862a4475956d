import asyncio

import pytest

from pixvec.client import AsyncClient, Client
from pixvec.client.admin import Admin, AsyncAdmin
from pixvec.client.testing import FakeServer
from pixvec.errors import CollectionNotFound, SnapshotNotFound


def filled(client: Client) -> Client:
    client.ingest("photos", [("a", b"a"), ("b", b"b")]).wait()
    return client


def test_snapshots_are_created_listed_and_restored_from(client):
    (made,) = filled(client).admin.create_snapshot("photos")
    assert (made.shard, made.error, made.stored_bytes) == (0, None, made.snapshot.size_bytes)
    assert (made.snapshot.seq, made.snapshot.image_count, made.snapshot.verified) == (2, 2, True)
    assert client.admin.list_snapshots() == client.admin.list_snapshots("photos") == [made.snapshot]
    (restored,) = client.admin.restore_collection("photos", snapshot_ids=[made.snapshot.snapshot_id])
    assert (restored.snapshot_id, restored.snapshot_seq, restored.head_seq) == (made.snapshot.snapshot_id, 2, 2)
    assert restored.epoch != made.snapshot.epoch


def test_after_a_restore_a_client_waits_for_what_is_loaded_anew(client, server: FakeServer):
    (restored,) = filled(client).admin.restore_collection("photos", from_feed=True)
    assert len(client.search("photos", image=b"a")) == 2
    (position,) = server.called("Query")[-1].token.positions
    assert (position.epoch, position.seq) == (restored.epoch, 2)


def test_a_shard_that_failed_is_told(client, server: FakeServer):
    server.fail_snapshots("the disk is full")
    (failed,) = client.admin.create_snapshot("photos")
    assert failed.snapshot is None
    assert failed.error.message == "the disk is full"


def test_what_is_not_there(client):
    with pytest.raises(SnapshotNotFound):
        client.admin.restore_collection("photos")
    for call in (client.admin.create_snapshot, client.admin.list_snapshots, client.admin.get_topology):
        with pytest.raises(CollectionNotFound):
            call("cats")


def test_the_topology(client):
    topology = filled(client).admin.get_topology()
    (photos,) = topology.collections
    (shard,) = photos.shards
    (replica,) = shard.replicas
    (searcher,) = topology.searchers
    assert (photos.collection, shard.head_seq, shard.image_count, shard.truncated_seq) == ("photos", 2, 2, 0)
    assert (replica.searcher_id, replica.ready, replica.applied_seq) == (searcher.searcher_id, True, 2)
    assert (searcher.live, searcher.reachable, searcher.memory_bytes, searcher.shard_count) == (True, True, 2**20, 1)
    assert client.admin.get_topology("photos") == topology


def test_the_same_with_an_event_loop(client, server: FakeServer):
    filled(client)

    async def main() -> None:
        async with AsyncClient(server.address) as other:
            (made,) = await other.admin.create_snapshot("photos")
            assert await other.admin.list_snapshots("photos") == [made.snapshot]
            (restored,) = await other.admin.restore_collection("photos")
            assert restored.snapshot_id == made.snapshot.snapshot_id
            assert (await other.admin.get_topology()).collections[0].collection == "photos"

    asyncio.run(main())


def test_both_have_the_same_methods():
    public = {name for name in vars(Admin) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncAdmin) if not name.startswith("_")}
