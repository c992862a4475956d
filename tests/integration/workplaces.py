"""A worker as a process, with all that it needs."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import make_url

from pixvec.blobs.store import FsspecBlobStore
from pixvec.catalogue.interfaces import Catalogue, ChunkRef, NewItem
from pixvec.catalogue.postgres import connect
from pixvec.domain import Metric, OnExisting, Space
from pixvec.embedded.process import die_with_parent
from pixvec.embedded.stack import is_serving
from pixvec.jobs.queue import CeleryChunkQueue
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.pictures import make_jpeg
from tests.redis_server import RedisServer

LIMIT_S = 120.0


@dataclass(frozen=True)
class Workplace:
    """All that a worker needs."""

    catalogue: Catalogue
    database_url: str
    redis: RedisServer
    folder: Path

    @property
    def address(self) -> str:
        return f"unix:{self.folder}/embedder.sock"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @contextmanager
    def worker(self, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        told = {
            "PIXVEC_DATABASE_URL": self.database_url,
            "PIXVEC_BROKER_URL": self.redis.url,
            "PIXVEC_BLOB_URL": (self.folder / "blobs").as_uri(),
            "PIXVEC_WORKER_LISTEN": self.address,
            "PIXVEC_WORKER_DECODERS": "1",
        }
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers"],
                env=os.environ | told | settings,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def until_serving(self) -> None:
        until(lambda: is_serving(self.address))

    def publish(self, chunks: int, chunk_items: int) -> str:
        """Make a job of many chunks, all of the same picture, and send a message about the first."""
        content = make_jpeg(1)
        content_hash = FsspecBlobStore((self.folder / "blobs").as_uri()).put(content)
        model = load("hog-color", WeightSource({}, False, 1.0))
        space = Space("image", model.name, model.dim, Metric.COSINE, model.digest)
        collection = self.catalogue.collections.create("photos", [space], 1)
        job_id = self.catalogue.jobs.create(collection.collection_id, OnExisting.REPLACE).job_id
        for chunk in range(chunks):
            ordinals = range(chunk * chunk_items, (chunk + 1) * chunk_items)
            items = [NewItem(n, f"{n}", {}, content_hash=content_hash, size_bytes=len(content)) for n in ordinals]
            self.catalogue.jobs.add_items(job_id, items)
        queue = CeleryChunkQueue(self.redis.url)
        queue.publish([ChunkRef(job_id, 0)])
        queue.close()
        return job_id

    def allow_connections(self, allowed: bool) -> None:
        """Have the server take or refuse new connections to the database; those there are go on."""
        url = make_url(self.database_url)
        maintenance = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS {allowed}')  # type: ignore[arg-type]


@contextmanager
def furnished(database_url: str) -> Iterator[Workplace]:
    """A workplace, with a broker of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pv-"))
    redis = RedisServer(folder)
    redis.start()
    catalogue = connect(database_url)
    yield Workplace(catalogue, database_url, redis, folder)
    catalogue.close()
    redis.stop()
    shutil.rmtree(folder)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another process does."""
    give_up_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def model_host(worker: subprocess.Popen[bytes]) -> psutil.Process:
    (host,) = [child for child in psutil.Process(worker.pid).children() if child.children()]
    return host
