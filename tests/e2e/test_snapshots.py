"""Backups, restore and topology of the whole system, through the gateway."""

import pytest

from pixvec.client import Client
from pixvec.embedded.running import RunningSystem
from pixvec.errors import BackupDamaged, SnapshotNotFound
from tests.pictures import make_jpeg

PICTURES = 40


def fill(client: Client, collection: str) -> None:
    job = client.ingest(collection, [(f"{number}", make_jpeg(number)) for number in range(PICTURES)]).wait()
    assert job.failures == []


def answers(client: Client, collection: str) -> list[list[str]]:
    return [
        [hit.image_id for hit in client.search(collection, image=make_jpeg(number), limit=5, timeout_s=60)]
        for number in range(0, PICTURES, 7)
    ]


def test_a_collection_is_backed_up_and_restored(client: Client, collection: str) -> None:
    fill(client, collection)
    made = client.admin.create_snapshot(collection)
    shards = client.get_collection(collection).shard_count
    assert [(each.shard, each.error) for each in made] == [(shard, None) for shard in range(shards)]
    assert sum(each.snapshot.image_count for each in made if each.snapshot) == PICTURES
    assert {each.snapshot_id for each in client.admin.list_snapshots(collection)} == {
        each.snapshot.snapshot_id for each in made if each.snapshot
    }
    client.delete_images(collection, ["3"])
    expected = answers(client, collection)
    restored = client.admin.restore_collection(collection)
    assert {each.snapshot_id for each in restored} == {each.snapshot.snapshot_id for each in made if each.snapshot}
    assert answers(client, collection) == expected
    assert "3" not in {image_id for found in expected for image_id in found}
    client.admin.restore_collection(collection, snapshot_ids=[made[0].snapshot.snapshot_id] if made[0].snapshot else [])
    assert answers(client, collection) == expected


def test_a_damaged_snapshot_is_not_restored_from(system: RunningSystem, client: Client, collection: str) -> None:
    fill(client, collection)
    with pytest.raises(SnapshotNotFound):
        client.admin.restore_collection(collection)
    made = client.admin.create_snapshot(collection)
    assert made[0].snapshot is not None
    manifest = system.data / "blobs" / made[0].snapshot.location
    for path in (manifest.parent.parent / "files").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    expected = answers(client, collection)
    with pytest.raises(BackupDamaged, match=made[0].snapshot.snapshot_id):
        client.admin.restore_collection(collection)
    assert answers(client, collection) == expected
    listed = {each.snapshot_id: each for each in client.admin.list_snapshots(collection)}
    assert not listed[made[0].snapshot.snapshot_id].verified


def test_the_topology_is_told(system: RunningSystem, client: Client, collection: str) -> None:
    fill(client, collection)
    topology = client.admin.get_topology(collection)
    (shown,) = topology.collections
    assert sum(shard.image_count for shard in shown.shards) == PICTURES
    assert all(replica.ready for shard in shown.shards for replica in shard.replicas)
    # Pushes have come by the time a search has waited for them.
    answers(client, collection)
    (shown,) = client.admin.get_topology(collection).collections
    assert sum(replica.image_count for shard in shown.shards for replica in shard.replicas) == PICTURES
    searchers = {process.name for process in system.processes() if process.name.startswith("searcher")}
    assert {each.searcher_id for each in topology.searchers} == searchers
    assert all(each.live and each.reachable and each.memory_bytes > 2**20 for each in topology.searchers)
