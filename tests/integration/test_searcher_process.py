"""The searcher as a process, on a real database and a real disk."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pixvec.domain import IndexKind, IndexSettings
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.rpc.pusher import to_apply_request
from tests.integration.searchers import LIMIT_S, SPACE, Caller, System, system_on, token, until


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    with system_on(database_url, tmp_path) as running:
        yield running


def test_finds_what_is_pushed_polled_and_kept_over_a_kill(system: System) -> None:
    collection = system.catalogue.collections.create("photos", [SPACE], 2)
    polled = system.index(collection, range(40))
    with system.searcher() as process, Caller(system.address) as caller:
        assert caller.best(collection, 7, token(polled))[0] == "image-7"
        pushed = system.index(collection, range(40, 60))
        outcomes = [caller.stub.Apply(to_apply_request(batch), timeout=LIMIT_S).outcome for batch in pushed]
        assert set(outcomes) <= {pb.APPLY_OUTCOME_APPLIED, pb.APPLY_OUTCOME_WILL_CATCH_UP}
        assert caller.best(collection, 50, token(pushed))[0] == "image-50"
        before = caller.stub.Snapshot(pb.SnapshotRequest(), timeout=LIMIT_S)
        assert all(shard.snapshot_seq == shard.applied_seq > 0 for shard in before.shards)
        later = system.index(collection, range(60, 80))
        deleted = system.catalogue.feed_writer.delete(collection.collection_id, ["image-7"])
        process.kill()
    with system.searcher() as process, Caller(system.address) as caller:
        now = token(later).merged(token(pushed)).merged(deleted.token)
        assert caller.best(collection, 70, now)[0] == "image-70"
        assert caller.best(collection, 50, now)[0] == "image-50"
        assert "image-7" not in caller.best(collection, 7, now)
        status = caller.stub.Status(pb.StatusRequest(), timeout=LIMIT_S)
        assert sum(shard.image_count for shard in status.shards) == 79
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    assert system.log.count("snapshot_loaded") == 2


def test_reports_ready_shards_and_gives_up_deleted_ones(system: System) -> None:
    collection = system.catalogue.collections.create("photos", [SPACE], 1)
    batches = system.index(collection, range(3))
    with system.searcher(), Caller(system.address) as caller:
        caller.best(collection, 1, token(batches))
        until(lambda: system.catalogue.topology.routing().replicas[collection.collection_id, 0][0].ready)
        caller.stub.Snapshot(pb.SnapshotRequest(), timeout=LIMIT_S)
        kept = system.folder / "data" / f"{collection.collection_id}-0"
        assert kept.exists()
        system.catalogue.collections.delete("photos")
        until(lambda: not kept.exists())


def test_seals_in_the_background_and_starts_with_what_it_sealed(system: System) -> None:
    space = replace(SPACE, index=IndexSettings(IndexKind.HNSW))
    collection = system.catalogue.collections.create("photos", [space], 1)
    batches = system.index(collection, range(300))
    with system.searcher() as process, Caller(system.address) as caller:
        until(lambda: list((system.folder / "data").glob("*/segment-*/index.faiss")))
        until(lambda: "snapshot_written" in system.log)
        assert caller.best(collection, 7, token(batches))[0] == "image-7"
        deleted = system.catalogue.feed_writer.delete(collection.collection_id, ["image-7"])
        now = token(batches).merged(deleted.token)
        assert "image-7" not in caller.best(collection, 7, now)
        process.kill()
    with system.searcher(), Caller(system.address) as caller:
        assert caller.best(collection, 50, now)[0] == "image-50"
        assert "image-7" not in caller.best(collection, 7, now)
    assert system.log.count("snapshot_loaded") == 1


def test_a_second_searcher_on_the_same_data_is_refused(system: System) -> None:
    collection = system.catalogue.collections.create("photos", [SPACE], 1)
    batches = system.index(collection, range(3))
    with system.searcher(), Caller(system.address) as caller:
        caller.best(collection, 1, token(batches))
        with system.searcher() as second:
            assert second.wait(LIMIT_S) == 1
        assert "another searcher uses this data folder" in system.log
