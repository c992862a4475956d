"""Any process may die at any moment: the job completes, every accepted picture is found once, none twice."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest
import redis

from pixvec.client import Client
from pixvec.embedded.running import RunningSystem
from tests.pictures import make_jpeg

PICTURES = 240
# The harder case of the two; the easy one would take as long again.
pytestmark = pytest.mark.parametrize("system", [3], indirect=True, ids=["3-shards"])


@pytest.fixture(scope="module")
def contents() -> list[bytes]:
    return [make_jpeg(seed) for seed in range(PICTURES)]


@pytest.fixture
def stormy(request: pytest.FixtureRequest, client: Client, contents: list[bytes]) -> Iterator["Storm"]:
    name = "storm-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[-50:].strip("-")
    client.create_collection(name, model="hog-color")
    yield Storm(client, name, contents)
    client.delete_collection(name)


class Storm:
    """An ingest under way, to be disturbed."""

    def __init__(self, client: Client, collection: str, contents: list[bytes]) -> None:
        self.client, self.collection, self._contents = client, collection, contents
        self._reached = threading.Event()

    def _pictures(self, pause_at: int) -> Iterator[tuple[str, bytes]]:
        for number, content in enumerate(self._contents):
            if number == pause_at:
                self._reached.set()
            yield f"{number}", content

    def strike(self, disturb: Callable[[], None], *, after: int) -> None:
        """Ingest everything, disturb once `after` pictures have been handed over, and check the outcome."""
        job = self.client.ingest(self.collection, self._pictures(after))
        assert self._reached.wait(60)
        disturb()
        job.wait()
        assert job.failures == []
        assert job.counts.indexed == PICTURES
        dim = self.client.get_collection(self.collection).spaces[0].dim
        hits = self.client.search(self.collection, vector=np.ones(dim, np.float32), limit=10_000)
        assert sorted(hit.image_id for hit in hits) == sorted(f"{number}" for number in range(PICTURES))


def pid_of(system: RunningSystem, victim: str) -> int:
    """Return the pid of a supervised process, of the worker's model host, or of one of its decoders."""
    pids = {process.name: process.pid for process in system.processes()}
    if victim in pids:
        return pids[victim]
    below = psutil.Process(pids["worker"]).children(recursive=True)
    decoders = [process for process in below if "workers.decoder" in process.cmdline()]
    if victim == "decoder":
        return decoders[0].pid
    return decoders[0].parent().pid


@pytest.mark.parametrize("after", [10, 130], ids=["early", "late"])
@pytest.mark.parametrize(
    "victim", ["gateway", "searcher-0", "worker", "model host", "decoder", "sweeper", "postgres", "redis"]
)
def test_a_killed_process_loses_nothing(system: RunningSystem, stormy: Storm, victim: str, after: int) -> None:
    stormy.strike(lambda: os.kill(pid_of(system, victim), signal.SIGKILL), after=after)


def test_a_worker_that_is_told_to_stop_loses_nothing(system: RunningSystem, stormy: Storm) -> None:
    stormy.strike(lambda: os.kill(pid_of(system, "worker"), signal.SIGTERM), after=100)


def test_a_wiped_queue_loses_nothing(system: RunningSystem, stormy: Storm) -> None:
    socket = system.state.redis_url.removeprefix("redis+socket://")
    with redis.Redis(unix_socket_path=socket) as broker:
        stormy.strike(broker.flushall, after=100)
