"""A searcher as a process on a real database and a real disk, beside a test that writes and asks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from pixvec.catalogue.feed import FeedBatch
from pixvec.catalogue.interfaces import Catalogue, EmbeddedItem, NewItem
from pixvec.catalogue.postgres import connect
from pixvec.domain import Collection, Metric, OnExisting, SeqToken, ShardPosition, Space
from pixvec.embedded.process import die_with_parent
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.conversions import position_to_wire
from pixvec.rpc.records import encode_record

SPACE = Space("image", "hog-color", 8, Metric.COSINE, "ab" * 32)
# A machine with much else to do takes long to start a process.
LIMIT_S = 90.0


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

    @property
    def blob_url(self) -> str:
        return (self.folder / "blobs").as_uri()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @contextmanager
    def searcher(self) -> Iterator[subprocess.Popen[bytes]]:
        settings = {
            "PIXVEC_DATABASE_URL": self.database_url,
            "PIXVEC_SEARCHER_ID": "searcher-0",
            "PIXVEC_SEARCHER_LISTEN": self.address,
            "PIXVEC_SEARCHER_DATA": str(self.folder / "data"),
            "PIXVEC_SEARCHER_POLL_S": "0.05",
            "PIXVEC_SEARCHER_SEAL_ROWS": "100",
            "PIXVEC_BLOB_URL": self.blob_url,
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
        return list(self.catalogue.feed_writer.commit(leased, embedded, []).batches)


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


@contextmanager
def system_on(database_url: str, folder: Path) -> Iterator[System]:
    """Give a system whose searcher is known before it runs, so that a collection's shards are placed on it at once."""
    catalogue = connect(database_url)
    catalogue.topology.heartbeat("searcher-0", f"unix:{folder}/searcher.sock", [], lease_s=60)
    yield System(catalogue, database_url, folder)
    catalogue.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    give_up_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
