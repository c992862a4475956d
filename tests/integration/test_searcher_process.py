"""The searcher as a process, on a real database and a real disk."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from pixvec.catalogue.interfaces import Catalogue, EmbeddedItem, FeedBatch, NewItem
from pixvec.catalogue.postgres import connect
from pixvec.domain import Collection, IndexKind, IndexSettings, Metric, OnExisting, SeqToken, ShardPosition, Space
from pixvec.embedded.process import die_with_parent
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.conversions import position_to_wire
from pixvec.rpc.pusher import to_apply_request
from pixvec.rpc.records import encode_record

SPACE = Space("image", "hog-color", 8, Metric.COSINE, "ab" * 32)
LIMIT_S = 30.0


def vector(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(SPACE.dim).astype(np.float32)


@dataclass(frozen=True)
class System:
    catalogue: Catalogue
    database_url: str
    folder: Path

    @property
    def address(self) -> str:
        return f"unix:{self.folder}/searcher.sock"

    @contextmanager
    def searcher(self) -> Iterator[subprocess.Popen[bytes]]:
        settings = {
            "PIXVEC_DATABASE_URL": self.database_url,
            "PIXVEC_SEARCHER_ID": "searcher-0",
            "PIXVEC_SEARCHER_LISTEN": self.address,
            "PIXVEC_SEARCHER_DATA": str(self.folder / "data"),
            "PIXVEC_SEARCHER_POLL_S": "0.05",
            "PIXVEC_SEARCHER_SEAL_ROWS": "100",
        }
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.searcher"],
                env=os.environ | settings,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def index(self, collection: Collection, numbers: Sequence[int]) -> list[FeedBatch]:
        """Take images in as a worker does."""
        jobs = self.catalogue.jobs
        job = jobs.create(collection.collection_id, OnExisting.REPLACE)
        items = [NewItem(place, f"image-{number}", {}, f"{number:064x}", 1) for place, number in enumerate(numbers)]
        jobs.add_items(job.job_id, items)
        leased = jobs.lease_next(job.job_id, "worker", 60)
        assert leased is not None
        embedded = [
            EmbeddedItem(item, encode_record({"image": (SPACE, vector(number))}, {}), item.content_hash, 1, "PNG", 1, 1)
            for item, number in zip(leased.items, numbers, strict=True)
        ]
        return self.catalogue.feed_writer.commit(leased, embedded, [])


def token(batches: Sequence[FeedBatch]) -> SeqToken:
    found = SeqToken()
    for batch in batches:
        found = found.merged(SeqToken((ShardPosition(batch.shard, batch.epoch, batch.entries[-1].seq),)))
    return found


class Caller:
    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self.stub = searcher_service_pb2_grpc.SearcherServiceStub(self._channel)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def best(self, collection: Collection, number: int, after: SeqToken) -> list[str]:
        request = pb.SearchRequest(
            collection_id=collection.collection_id,
            shards=range(collection.shard_count),
            space="image",
            vectors=vector(number).tobytes(),
            dim=SPACE.dim,
            k=3,
            wait_for=[position_to_wire(position) for position in after.positions],
        )
        response = self.stub.Search(request, timeout=LIMIT_S, wait_for_ready=True)
        assert sorted(response.shards_answered) == sorted({position.shard for position in after.positions})
        return list(response.rows[0].image_ids)


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    catalogue = connect(database_url)
    # Registered before the process runs, so that the collection's shards are placed on it at once.
    catalogue.topology.heartbeat("searcher-0", f"unix:{tmp_path}/searcher.sock", [], lease_s=60)
    yield System(catalogue, database_url, tmp_path)
    catalogue.close()


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
    assert (system.folder / "log").read_text().count("snapshot_loaded") == 2


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
        until(lambda: "snapshot_written" in (system.folder / "log").read_text())
        assert caller.best(collection, 7, token(batches))[0] == "image-7"
        deleted = system.catalogue.feed_writer.delete(collection.collection_id, ["image-7"])
        now = token(batches).merged(deleted.token)
        assert "image-7" not in caller.best(collection, 7, now)
        process.kill()
    with system.searcher(), Caller(system.address) as caller:
        assert caller.best(collection, 50, now)[0] == "image-50"
        assert "image-7" not in caller.best(collection, 7, now)
    assert (system.folder / "log").read_text().count("snapshot_loaded") == 1


def test_a_second_searcher_on_the_same_data_is_refused(system: System) -> None:
    collection = system.catalogue.collections.create("photos", [SPACE], 1)
    batches = system.index(collection, range(3))
    with system.searcher(), Caller(system.address) as caller:
        caller.best(collection, 1, token(batches))
        with system.searcher() as second:
            assert second.wait(LIMIT_S) == 1
        assert "another searcher uses this data folder" in (system.folder / "log").read_text()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    give_up_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
