"""Other systems that keep vectors, each with the client its users have and its own defaults but for ef."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Peer, folder_bytes
from benchmarks.vectors import Float32Array
from pixvec.domain import Metric
from pixvec.embedded.ports import free_port

_HOST = "127.0.0.1"
_ROWS_A_CALL = 5_000


class Chroma(Peer):
    """The server of chromadb, called through its HTTP client."""

    name = "chromadb"
    what = "server: HTTP, its own client"
    graph = "M 16, ef 100, float32"

    def start(self) -> None:
        """Start the server."""
        self._port = free_port(_HOST)
        self._run()

    def build(self, base: Float32Array) -> None:
        """See Peer."""
        space = "l2" if self.metric is Metric.EUCLIDEAN else "cosine"
        self._collection = self._client.create_collection(
            "bench", embedding_function=None, configuration={"hnsw": {"space": space}}
        )
        for numbers in _calls(len(base)):
            self._collection.add(ids=[str(number) for number in numbers], embeddings=base[numbers.start : numbers.stop])

    def prepare(self, effort: int) -> None:
        """See Peer. An index that is loaded keeps the ef it was loaded with."""
        self._collection.modify(configuration={"hnsw": {"ef_search": effort}})
        self.stop_servers()
        self._run()
        self._collection = self._client.get_collection("bench", embedding_function=None)

    def _run(self) -> None:
        import chromadb
        from chromadb.config import Settings

        command = [str(Path(sys.executable).parent / "chroma"), "run", "--host", _HOST, "--port", str(self._port)]
        self.run_server([*command, "--path", str(self.folder / "data")], RUST_LOG="error")
        made: list[Any] = []

        def is_there() -> bool:
            try:
                made.append(chromadb.HttpClient(_HOST, self._port, settings=Settings(anonymized_telemetry=False)))
            except ValueError:
                return False
            return True

        self.wait_for(is_there)
        self._client = made[0]

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:  # noqa: ARG002
        """See Peer."""
        return self._collection.query(query_embeddings=queries, n_results=k, include=[])

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        return [list(map(int, ids)) for ids in answer["ids"]]

    def index_bytes(self) -> int:
        """See Peer."""
        return folder_bytes(self.folder / "data")


class MilvusLite(Peer):
    """The server of milvus-lite, called through pymilvus."""

    name = "milvus-lite"
    what = "server: gRPC, Python around FAISS; for development, say its authors"
    graph = "HNSW, M 16, ef 200, float32"

    def start(self) -> None:
        """Start the server."""
        import pymilvus

        port = free_port(_HOST)
        command = [str(Path(sys.executable).parent / "milvus-lite"), "server", "--host", _HOST, "--port", str(port)]
        self.run_server([*command, "--data-dir", str(self.folder / "data")])
        made: list[Any] = []

        def is_there() -> bool:
            try:
                made.append(pymilvus.MilvusClient(f"http://{_HOST}:{port}", timeout=2))
            except pymilvus.MilvusException:
                return False
            return True

        self.wait_for(is_there)
        self._client = made[0]

    def build(self, base: Float32Array) -> None:
        """See Peer."""
        from pymilvus import DataType

        client = self._client
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
        client.create_collection("bench", schema=schema, consistency_level="Eventually")
        for numbers in _calls(len(base)):
            client.insert("bench", [{"id": number, "vector": base[number]} for number in numbers])
        client.flush("bench")
        index = client.prepare_index_params()
        metric = "L2" if self.metric is Metric.EUCLIDEAN else "COSINE"
        index.add_index("vector", index_type="HNSW", metric_type=metric, params={"M": 16, "efConstruction": 200})
        client.create_index("bench", index)
        client.load_collection("bench")

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:
        """See Peer."""
        return self._client.search("bench", data=list(queries), limit=k, search_params={"params": {"ef": effort}})

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        return [[hit["id"] for hit in hits] for hits in answer]

    def index_bytes(self) -> int:
        """See Peer."""
        return folder_bytes(self.folder / "data")


class QdrantLocal(Peer):
    """The local mode of qdrant-client: it compares every vector, in this process."""

    name = "qdrant-client, local"
    what = "library: every vector compared by numpy; for tests, say its authors"
    served = False
    graph = "none"
    efforts = (0, 0)

    def build(self, base: Float32Array) -> None:
        """See Peer."""
        from qdrant_client import QdrantClient, models

        self._models = models
        self._client = QdrantClient(":memory:")
        distance = models.Distance.EUCLID if self.metric is Metric.EUCLIDEAN else models.Distance.COSINE
        vectors = models.VectorParams(size=self.dim, distance=distance)
        self._client.create_collection("bench", vectors_config=vectors)
        self._client.upload_collection("bench", vectors=base, ids=range(len(base)))

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:  # noqa: ARG002
        """See Peer."""
        requests = [self._models.QueryRequest(query=row.tolist(), limit=k) for row in queries]
        return self._client.query_batch_points("bench", requests=requests)

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        return [[int(point.id) for point in each.points] for each in answer]

    def index_bytes(self) -> int:
        """See Peer; it keeps the vectors alone."""
        return 0


def _calls(count: int) -> Iterator[range]:
    """Return the numbers of so many rows, some at a time."""
    for begin in range(0, count, _ROWS_A_CALL):
        yield range(begin, min(begin + _ROWS_A_CALL, count))
