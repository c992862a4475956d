"""pgvector, in the PostgreSQL that pixvec brings along."""

import threading
from collections.abc import Sequence
from typing import Any

import psycopg

from benchmarks.load import CORES
from benchmarks.peers.peer import Peer, Unusable
from benchmarks.vectors import Float32Array
from pixvec.domain import Metric
from pixvec.embedded.postgres import PostgresServer
from pixvec.errors import FailedPrecondition


class PgVector(Peer):
    """HNSW of pgvector, with a connection for each caller."""

    name = "pgvector"
    what = "server: PostgreSQL, psycopg"
    graph = "M 16, ef 64, float32"
    efforts = (10, 1000)

    def start(self) -> None:
        """Start PostgreSQL with memory for the build."""
        self._postgres = PostgresServer(self.folder / "data", self.folder / "run")
        try:
            self._postgres.prepare()
        except FailedPrecondition as error:
            raise Unusable(error.message) from error
        settings = {"shared_buffers": "1GB", "maintenance_work_mem": "1GB"}
        settings |= {"max_parallel_maintenance_workers": str(CORES), "jit": "off"}
        command = [*self._postgres.command(), *(f"--{name}={value}" for name, value in settings.items())]
        self.run_server(command, self._postgres.identity())
        self.wait_for(self._postgres.is_ready)
        self._effort = 40
        self._operator, self._kind = ("<->", "l2") if self.metric is Metric.EUCLIDEAN else ("<=>", "cosine")
        self._of_thread = threading.local()
        self._texts: dict[bytes, str] = {}

    def build(self, base: Float32Array) -> None:
        """See Peer."""
        with self._connect() as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute(f"CREATE TABLE items (id int, v vector({self.dim}))")
            with connection.cursor().copy("COPY items FROM STDIN") as copy:
                for number, row in enumerate(base):
                    copy.write_row((number, _text(row)))
            connection.execute(f"CREATE INDEX ON items USING hnsw (v vector_{self._kind}_ops)")
            connection.execute("ANALYZE items")

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:
        """See Peer."""
        connection = self._connection(effort)
        nearest = f"SELECT id FROM items ORDER BY v {self._operator} "
        if len(queries) == 1:
            found = connection.execute(f"{nearest} %s::vector LIMIT {k}", [self._packed(queries)], prepare=True)
            return [(1, row) for (row,) in found]
        each = f"SELECT n, id FROM unnest(%s::vector[]) WITH ORDINALITY AS q(x, n), LATERAL ({nearest} q.x LIMIT {k})"
        return connection.execute(each, [self._packed(queries)], prepare=True).fetchall()

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        found: dict[int, list[int]] = {}
        for number, row in answer:
            found.setdefault(number, []).append(row)
        return [found[number] for number in sorted(found)]

    def index_bytes(self) -> int:
        """See Peer."""
        with self._connect() as connection:
            found = connection.execute("SELECT pg_total_relation_size('items')").fetchone()
        return int(found[0]) if found else 0

    def _connection(self, effort: int) -> "psycopg.Connection[Any]":
        mine = self._of_thread
        if not hasattr(mine, "connection"):
            mine.connection, mine.effort = self._connect(), 0
        if mine.effort != effort:
            mine.connection.execute(f"SET hnsw.ef_search = {effort}")
            mine.connection.execute("SET enable_seqscan = off")
            mine.effort = effort
        connection: psycopg.Connection[Any] = mine.connection
        return connection

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._postgres.url("postgres").replace("+psycopg", ""), autocommit=True)

    def _packed(self, queries: Float32Array) -> str:
        """Return vectors as text, which is not counted for what was asked before."""
        key = queries.tobytes()
        if key not in self._texts:
            texts = [_text(row) for row in queries]
            self._texts[key] = texts[0] if len(texts) == 1 else "{" + ",".join(f'"{text}"' for text in texts) + "}"
        return self._texts[key]


def _text(row: Float32Array) -> str:
    return "[" + ",".join(map(str, row.tolist())) + "]"
