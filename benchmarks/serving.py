"""A searcher, and a gateway before it, that hold what is pushed to them: a system to measure without pictures."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
import psutil

from benchmarks.load import Load, drive
from benchmarks.process import COLLECTION_ID, EPOCH, SHARD, SPACE
from benchmarks.pushes import Pusher
from benchmarks.vectors import Float32Array
from pixvec.domain import Metric, SearchOptions
from pixvec.embedded.ports import free_port
from pixvec.embedded.process import die_with_parent
from pixvec.index.manifest import MANIFEST, Manifest, read_manifest
from pixvec.index.sealed import SegmentSeal
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.searcher_client import GrpcSearchers
from pixvec.rpc.shard_search import ShardSearch

_START_LIMIT_S = 120.0
_CALL_LIMIT_S = 60.0
_BUILDER = "services.searcher.builder"
# Fewer growing rows than this are left as they are.
_LEAST_ROWS = 1_000
# No build has begun for so long: none is to come.
_SETTLED_S = 2.5


class Serving:
    """Real processes over one collection of one shard; `with` stops them and removes their data.

    `seal_rows`: see `PIXVEC_SEARCHER_SEAL_ROWS`; None leaves the product's own.
    """

    def __init__(self, dim: int, metric: Metric, *, seal_rows: int | None = None) -> None:
        self.dim = dim
        self._folder = Path(tempfile.mkdtemp(prefix="pixvec-bench-"))
        self.address = f"unix:{self._folder}/searcher.sock"
        self.gateway_address = ""
        self._index = self._folder / "index.json"
        self.use_index()
        told = {"dim": dim, "metric": metric, "address": self.address, "settings": str(self._index)}
        self._settings = {"PIXVEC_DATABASE_URL": json.dumps(told), "PIXVEC_LOG_JSON": "true", "MALLOC_ARENA_MAX": "2"}
        self._settings |= {"OMP_WAIT_POLICY": "PASSIVE"}
        self._seal_rows = seal_rows
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._channel = grpc.insecure_channel(self.address)
        self._stub = searcher_service_pb2_grpc.SearcherServiceStub(self._channel)
        self.pusher = Pusher(self._stub)

    def __enter__(self) -> Self:
        self.start_searcher()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._processes):
            self._stop(name, signal.SIGKILL)
        self._channel.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start_searcher(self) -> float:
        """Start the searcher; return the seconds until its shard can be searched."""
        begun = time.monotonic()
        settings = {
            "PIXVEC_SEARCHER_ID": "searcher-0",
            "PIXVEC_SEARCHER_LISTEN": self.address,
            "PIXVEC_SEARCHER_DATA": str(self._folder / "data"),
        }
        if self._seal_rows is not None:
            settings["PIXVEC_SEARCHER_SEAL_ROWS"] = str(self._seal_rows)
        self._start("searcher", settings)
        while not self._is_ready():
            self._check_started("searcher", begun)
        return time.monotonic() - begun

    def restart_searcher(self) -> float:
        """Stop the searcher, which writes what has changed, and start it; return as `start_searcher` does."""
        self._stop("searcher", signal.SIGTERM)
        return self.start_searcher()

    def start_gateway(self) -> None:
        """Start a gateway before the searcher."""
        begun = time.monotonic()
        self.gateway_address = f"127.0.0.1:{free_port('127.0.0.1')}"
        settings = {
            "PIXVEC_GATEWAY_LISTEN": self.gateway_address,
            "PIXVEC_BROKER_URL": f"redis+socket://{self._folder}/none.sock",
            "PIXVEC_BLOB_URL": (self._folder / "blobs").as_uri(),
        }
        self._start("gateway", settings)
        with grpc.insecure_channel(self.gateway_address) as channel:
            ready = grpc.channel_ready_future(channel)
            while not ready.done():
                self._check_started("gateway", begun)

    def use_index(self, **settings: int | str) -> None:
        """Have segments built by other IndexSettings from now on, and those that are there built again."""
        written = self._index.with_suffix(".new")
        written.write_text(json.dumps(settings))
        written.rename(self._index)

    def warm_up(self) -> None:
        """Have the searcher load what it loads with its first vector, which is gone again."""
        self.pusher.push_and_delete(np.ones(self.dim, np.float32))

    def load(self, rows: Float32Array) -> float:
        """Push rows, whose ids are their numbers, and wait until they are sealed. Return the seconds it took."""
        begun = time.monotonic()
        self.pusher.push(rows, rows_a_push=512)
        self.wait_settled()
        return time.monotonic() - begun

    def wait_settled(self) -> None:
        """Wait until no build is under way or to come, and the newest snapshot holds everything."""
        quiet_since = time.monotonic()
        while True:
            time.sleep(0.1)
            if self.is_building():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _SETTLED_S:
                self._stub.Snapshot(pb.SnapshotRequest(), timeout=_START_LIMIT_S)
                if sum(part.rows for part in self._manifest().parts) < _LEAST_ROWS:
                    return

    def is_building(self) -> bool:
        """Whether a build runs now."""
        return self.builder() is not None

    def builder(self) -> psutil.Process | None:
        """Return the process that builds now."""
        for child in psutil.Process(self.pid("searcher")).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if _BUILDER in child.cmdline():
                    return child
        return None

    def segments(self) -> Sequence[SegmentSeal]:
        """Return the sealed segments of the newest snapshot."""
        return [part.segment for part in self._manifest().sealed]

    def build_s(self) -> float:
        """Return the seconds of all builds so far, as the searcher's log tells them."""
        lines = (self._folder / "searcher.log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return sum(float(event["seconds"]) for event in events if event["event"] == "segment_built")

    @property
    def shard_folder(self) -> Path:
        """Where the searcher keeps its shard."""
        return self._folder / "data" / f"{COLLECTION_ID}-{SHARD}"

    def pid(self, name: str) -> int:
        """Return the process of the `searcher` or the `gateway`."""
        return self._processes[name].pid

    def memory_bytes(self) -> int:
        """Return the searcher's resident memory, mapped files included."""
        lines = Path(f"/proc/{self.pid('searcher')}/status").read_text().splitlines()
        kib = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile"))]
        return 1024 * sum(kib)

    def search_request(self, vectors: Float32Array, k: int, **params: float) -> pb.SearchRequest:
        """Return a search for some rows, (n, dim). `params` are those of SearchParams."""
        request = pb.SearchRequest(
            collection_id=COLLECTION_ID,
            shards=[SHARD],
            space=SPACE,
            vectors=vectors.astype("<f4").tobytes(),
            dim=self.dim,
            k=k,
        )
        for name, value in params.items():
            setattr(request.params, name, value)
        return request

    async def drive_as_gateway(
        self, queries: Float32Array, k: int, callers: int, seconds: float, **options: Any
    ) -> Load:
        """Search for one vector at a time with the gateways' client, which joins calls that wait, and with `options`,
        those of SearchOptions."""
        shared = ShardSearch(COLLECTION_ID, (SHARD,), SPACE, b"", k, options=SearchOptions(**options))
        searches = [dataclasses.replace(shared, vector=row.tobytes()) for row in queries.astype("<f4")]
        client = GrpcSearchers()
        try:
            return await drive(
                lambda number: client.search(self.address, searches[number % len(searches)], _CALL_LIMIT_S),
                callers,
                seconds,
                [self.pid("searcher")],
            )
        finally:
            await client.close()

    def search(self, vectors: Float32Array, k: int, **params: float) -> list[list[int]]:
        """Return the numbers of the rows found for each of any number of vectors."""
        found: list[list[int]] = []
        for begin in range(0, len(vectors), 64):
            request = self.search_request(vectors[begin : begin + 64], k, **params)
            found += [list(map(int, row.image_ids)) for row in self.answer(request).rows]
        return found

    def answer(self, request: pb.SearchRequest) -> pb.SearchResponse:
        """Return the searcher's answer."""
        return self._stub.Search(request, timeout=60)

    def _manifest(self) -> Manifest:
        newest = max(path.parent for path in self.shard_folder.glob(f"snapshot-*/{MANIFEST}"))
        return read_manifest(newest)

    def _is_ready(self) -> bool:
        try:
            status = self._stub.Status(pb.StatusRequest(), timeout=1, wait_for_ready=True)
        except grpc.RpcError:
            return False
        return any(shard.ready and shard.epoch == EPOCH for shard in status.shards)

    def _start(self, name: str, settings: dict[str, str]) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.process", name],
                env=os.environ | self._settings | settings,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def _check_started(self, name: str, begun: float) -> None:
        if self._processes[name].poll() is not None or time.monotonic() - begun > _START_LIMIT_S:
            log = (self._folder / f"{name}.log").read_text(errors="replace")
            raise SystemExit(f"The {name} did not start:\n{log[-4000:]}")
        time.sleep(0.005)

    def _stop(self, name: str, number: signal.Signals) -> None:
        process = self._processes.pop(name)
        process.send_signal(number)
        process.wait()
