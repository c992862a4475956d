"""pixvec: its index alone, a shard, a searcher, and the gateway before it."""

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import grpc
import uvloop

from benchmarks.load import CORES, Load, drive
from benchmarks.peers.peer import Peer
from benchmarks.process import COLLECTION, SPACE
from benchmarks.serving import Serving
from benchmarks.vectors import Float32Array, in_parts
from pixvec.client import AsyncClient, Client
from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions
from pixvec.index.building import write_index
from pixvec.index.durable import FileSeal
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.kinds import EF_CONSTRUCTION, HNSW_M
from pixvec.index.library import load_faiss
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import seal
from pixvec.index.shard import Shard
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc

_GRAPH = f"M {HNSW_M}, ef {EF_CONSTRUCTION}, 8-bit codes, float16 vectors"
# As many candidates as are compared again for ten hits.
_LEAST_EFFORT = 15


class PixvecShard(Peer):
    """One shard in this process, of one sealed segment: what a searcher asks for each search, ids and all."""

    name = "pixvec shard"
    what = "library: hits with ids, what a searcher calls"
    served = False
    graph = _GRAPH
    efforts = (_LEAST_EFFORT, 600)

    def start(self) -> None:
        """Make the empty shard."""
        space = SpaceSpec(SPACE, self.dim, self.metric, index=IndexSettings(kind=IndexKind.HNSW))
        self._shard = Shard((space,))
        # What it takes itself is not of the vectors.
        load_faiss()

    def build(self, base: Float32Array) -> None:
        """Seal all rows in one segment."""
        self._shard.apply([Change(str(number), {SPACE: row[None]}) for number, row in enumerate(base)], len(base))
        build = self._shard.begin_build(BuildPolicy(seal_rows=1))
        segment = None if build is None else seal(self.folder, build, _with_all_cores)
        assert build is not None
        assert segment is not None
        self._shard.finish_build(build, segment)
        self.segment = segment

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:
        """See Peer."""
        return self._shard.search(SPACE, queries, k, options=SearchOptions(ef=effort))

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        return [list(map(int, hits.image_ids)) for hits in answer]

    def index_bytes(self) -> int:
        """See Peer."""
        return self.segment.seal.size_bytes


class PixvecIndex(PixvecShard):
    """The same segment, asked for the numbers of rows as libraries are."""

    name = "pixvec index"
    what = "library: numbers of rows"

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:
        """See Peer."""
        return self.segment.search(queries, k, SearchOptions(ef=effort)).rows

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        listed: list[list[int]] = answer.tolist()
        return listed


class PixvecSearcher(Peer):
    """A searcher, called as gateways do."""

    name = "pixvec searcher"
    what = "server: gRPC, one process"
    graph = _GRAPH
    efforts = (_LEAST_EFFORT, 600)

    def start(self) -> None:
        """Start it."""
        self._serving = Serving(self.dim, self.metric)
        self._serving.start_searcher()
        self._serving.warm_up()

    def __exit__(self, *ending: Any) -> None:
        self._serving.__exit__(*ending)
        super().__exit__(*ending)

    def build(self, base: Float32Array) -> None:
        """Push all rows and wait until they are sealed."""
        self._serving.load(base)

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:
        """See Peer."""
        return self._serving.answer(self._serving.search_request(queries, k, ef=effort))

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        return [list(map(int, row.image_ids)) for row in answer.rows]

    def drive(self, queries: Float32Array, k: int, effort: int, rows_a_call: int, callers: int, seconds: float) -> Load:
        """Search from one event loop, with the gateways' client; one vector is no batch."""
        if rows_a_call == 1:
            return uvloop.run(self._serving.drive_as_gateway(queries, k, callers, seconds, ef=effort))
        requests = [self._serving.search_request(part, k, ef=effort) for part in in_parts(queries, rows_a_call)]
        return uvloop.run(self._drive(requests, callers, seconds))

    async def _drive(self, requests: Sequence[pb.SearchRequest], callers: int, seconds: float) -> Load:
        async with grpc.aio.insecure_channel(self._serving.address) as channel:
            search = searcher_service_pb2_grpc.SearcherServiceStub(channel).Search
            return await drive(lambda number: search(requests[number % len(requests)]), callers, seconds)

    def index_bytes(self) -> int:
        """See Peer."""
        return sum(segment.size_bytes for segment in self._serving.segments())

    def processes(self) -> list[int]:
        """See Peer."""
        return [self._serving.pid("searcher")]


class PixvecGateway(PixvecSearcher):
    """The gateway before a searcher, called with the SDK: what users have."""

    name = "pixvec"
    what = "server: gRPC, gateway and searcher, through the SDK"

    def start(self) -> None:
        """Start both."""
        super().start()
        self._serving.start_gateway()
        self._client = Client(self._serving.gateway_address)

    def __exit__(self, *ending: Any) -> None:
        self._client.close()
        super().__exit__(*ending)

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:
        """See Peer."""
        return self._client.search_batch(COLLECTION, vectors=queries, limit=k, ef=effort)

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        return [[int(hit.image_id) for hit in hits] for hits in answer]

    def drive(self, queries: Float32Array, k: int, effort: int, rows_a_call: int, callers: int, seconds: float) -> Load:
        """Search from one event loop; one vector is no batch."""
        parts = in_parts(queries, rows_a_call)

        async def search(client: AsyncClient) -> Load:
            async with client:
                return await drive(lambda number: ask(client, parts[number % len(parts)]), callers, seconds)

        def ask(client: AsyncClient, part: Float32Array) -> Awaitable[object]:
            if rows_a_call == 1:
                return client.search(COLLECTION, vector=part[0], limit=k, ef=effort)
            return client.search_batch(COLLECTION, vectors=part, limit=k, ef=effort)

        async def run() -> Load:
            return await search(AsyncClient(self._serving.gateway_address))

        return uvloop.run(run())

    def processes(self) -> list[int]:
        """See Peer."""
        return [*super().processes(), self._serving.pid("gateway")]


def _with_all_cores(folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings) -> FileSeal:
    return write_index(folder, kind, metric, settings, threads=CORES)
