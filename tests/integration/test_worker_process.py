"""The worker as a process: whatever happens to it, it leaves its work to be done by another, or says why it cannot."""

import os
import shutil
import signal
import socket
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
import pytest
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


@pytest.fixture
def workplace(database_url: str) -> Iterator[Workplace]:
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


def catches(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) & 1 << number - 1)


def test_a_model_host_that_cannot_start_ends_its_worker(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with workplace.worker(PIXVEC_METRICS_PORT=f"{port}") as process:
            assert process.wait(LIMIT_S) == 1
    assert "model_host_failed" in workplace.log
    assert f"cannot serve metrics at 127.0.0.1:{port}" in workplace.log


def test_a_model_host_that_is_replaced_while_the_database_is_away_ends_its_worker(workplace: Workplace) -> None:
    with workplace.worker() as process:
        workplace.until_serving()
        workplace.allow_connections(False)
        model_host(process).kill()
        assert process.wait(LIMIT_S) == 1
    workplace.allow_connections(True)
    assert "the database cannot be used now" in workplace.log
    assert "Traceback" not in workplace.log.partition("model_host_failed")[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_gives_back_what_it_has_not_begun(
    workplace: Workplace, number: signal.Signals
) -> None:
    jobs = workplace.catalogue.jobs
    job_id = workplace.publish(chunks=200, chunk_items=32)
    with workplace.worker() as process:
        until(lambda: jobs.get(job_id).indexed)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
    left = jobs.get(job_id)
    assert left.indexed < left.total
    given_back = [item for chunk in iter(lambda: jobs.lease_next(job_id, "another", 60), None) for item in chunk.items]
    assert len(given_back) == left.total - left.indexed
    assert {item.attempt for item in given_back} == {1}


def test_an_idle_worker_stops_and_says_so_to_its_callers(workplace: Workplace) -> None:
    with workplace.worker() as process:
        workplace.until_serving()
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    assert "server_stopping" in workplace.log
    assert not is_serving(workplace.address)


def test_a_second_signal_ends_a_worker_that_cannot_end_what_it_is_about(workplace: Workplace) -> None:
    with workplace.worker() as process:
        workplace.until_serving()
        host = model_host(process)
        host.suspend()
        process.terminate()
        until(lambda: not catches(process, signal.SIGTERM))
        process.terminate()
        assert process.wait(LIMIT_S) == -signal.SIGTERM
        until(lambda: not host.is_running() or host.status() == psutil.STATUS_ZOMBIE)
