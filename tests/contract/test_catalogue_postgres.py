"""What only the real database can be asked: its schema, and what happens when it goes away."""

import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, text

from pixvec.catalogue import migrations
from pixvec.catalogue.interfaces import LeasedChunk, NewItem
from pixvec.catalogue.models import Base
from pixvec.catalogue.postgres import connect
from pixvec.catalogue.sharding import shard_of
from pixvec.domain import Collection, FittedKind, JobState, OnDuplicate, OnExisting, TrainingSpec
from pixvec.embedded.postgres import PostgresServer
from pixvec.embedded.process import die_with_parent
from pixvec.errors import DatabaseUnavailable, FailedPrecondition, InvalidRequest, PixvecError, SchemaMismatch
from tests.contract.catalogues import BROKEN, SPACE, Bench, item


def execute(database_url: str, statement: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_the_revisions_make_what_the_models_say(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        storage = connection.execute(
            text("SELECT attstorage FROM pg_attribute WHERE attrelid = 'feed'::regclass AND attname = 'record'")
        ).scalar_one()
    engine.dispose()
    assert storage in ("e", b"e")


def test_migrating_again_and_by_several_at_once_is_harmless(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("several")
    url = postgres_server.url("several")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(migrations.upgrade, [url] * 3))
    connect(url).close()


def test_a_database_of_another_revision_is_refused_with_the_command(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = 'from_the_future'")
    with pytest.raises(SchemaMismatch, match=rf"from_the_future.*{migrations.head_revision()}.*newer pixvec"):
        connect(database_url)
    with pytest.raises(SchemaMismatch, match="newer pixvec"):
        migrations.upgrade(database_url)


def test_an_empty_database_is_refused_with_the_command(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("bare")
    with pytest.raises(SchemaMismatch, match=r"none.*`pixvec up`.*python -m pixvec.catalogue.migrations"):
        connect(postgres_server.url("bare"))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="database address"):
        connect("not an address")


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        connect(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable):
        migrations.upgrade(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")


def test_connections_cut_by_the_server_are_replaced(database_url: str) -> None:
    catalogue = connect(database_url)
    catalogue.collections.create("photos", [SPACE], 1)
    execute(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database()",
    )
    assert catalogue.collections.get("photos").name == "photos"
    catalogue.close()


def wait_until(database_url: str, condition: str) -> None:
    engine = create_engine(database_url)
    deadline = time.monotonic() + 30
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(text(f"SELECT EXISTS ({condition})")).scalar_one():
            assert time.monotonic() < deadline, condition
            time.sleep(0.01)
    engine.dispose()


def test_a_reader_of_the_feed_that_loses_its_connection_is_told_of_the_database(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue = connect(database_url, pool_size=1)
    photos = catalogue.collections.create("photos", [SPACE], 1)
    engine = create_engine(database_url)
    waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.begin() as holder, ThreadPoolExecutor(1) as pool:
        holder.execute(text("LOCK TABLE feed"))
        reading = pool.submit(catalogue.feed_reader.read, photos.collection_id, 0, 0, 10)
        wait_until(database_url, f"SELECT {waiting}")
        execute(database_url, f"SELECT pg_terminate_backend(pid) {waiting}")
        with pytest.raises(DatabaseUnavailable):
            reading.result()
    engine.dispose()
    assert catalogue.feed_reader.read(photos.collection_id, 0, 0, 10).entries == ()
    assert caplog.records == []
    catalogue.close()


def test_what_the_database_refuses_is_an_error_of_ours(database_url: str) -> None:
    catalogue = connect(database_url)
    photos = catalogue.collections.create("photos", [SPACE], 1)
    catalogue.topology.heartbeat("a", "a:1", [], lease_s=60.0)
    execute(database_url, "ALTER TABLE placements ADD CONSTRAINT nobody CHECK (searcher_id <> 'a')")
    with pytest.raises(PixvecError, match="refused a statement") as caught:
        catalogue.topology.rebalance(1)
    assert not isinstance(caught.value, DatabaseUnavailable)
    execute(database_url, "ALTER TABLE feed DROP COLUMN record")
    with pytest.raises(PixvecError, match="refused a statement"):
        catalogue.feed_reader.read(photos.collection_id, 0, 0, 10)
    assert catalogue.collections.get("photos") == photos
    catalogue.close()


@pytest.mark.parametrize(("child", "parent"), [("job_chunks", "jobs"), ("placements", "shards")])
def test_a_purge_leaves_what_another_one_is_at(database_url: str, child: str, parent: str) -> None:
    catalogue = connect(database_url)
    photos = catalogue.collections.create("photos", [SPACE], 1)
    catalogue.jobs.add_items(catalogue.jobs.create(photos.collection_id, OnExisting.REPLACE).job_id, [item(0)])
    catalogue.collections.delete("photos")
    execute(
        database_url,
        "INSERT INTO placements (collection_id, shard, searcher_id) SELECT collection_id, 0, 'a' FROM shards",
    )
    engine = create_engine(database_url)
    with engine.begin() as other:
        other.execute(text(f"SELECT FROM {child} FOR NO KEY UPDATE"))
        assert catalogue.collections.purge(1000) > 0
        assert other.execute(text(f"SELECT count(*) FROM {parent}")).scalar_one() == 1
    assert catalogue.collections.purge(1000) > 0
    assert catalogue.collections.purge(1000) == 0
    engine.dispose()
    catalogue.close()


def test_a_job_whose_end_was_never_written_down_is_forgotten_all_the_same(database_url: str) -> None:
    catalogue = connect(database_url)
    photos = catalogue.collections.create("photos", [SPACE], 1)
    job_id = catalogue.jobs.create(photos.collection_id, OnExisting.REPLACE).job_id
    catalogue.jobs.close(job_id)
    execute(
        database_url,
        "UPDATE jobs SET ended_at = NULL, created_at = now() - interval '1h', closed_at = now() - interval '1h'",
    )
    assert catalogue.jobs.prune(1800.0, 10) == 1
    assert catalogue.jobs.page(None, "", 10) == []
    catalogue.close()


_WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_a_batch_holds_no_original_while_it_waits_for_its_own_images(database_url: str) -> None:
    """Of two that hold one original, neither can write it, which a batch that brings it in goes on to do."""
    bench = Bench(connect(database_url), lambda: None)
    photos = bench.collection()
    bench.index(photos, item(0, "original", content="lake"), item(1, "own", content="hill"))
    job_id = bench.job(photos, on_duplicate=OnDuplicate.LINK)
    engine = create_engine(database_url)
    with ThreadPoolExecutor(1) as pool, engine.begin() as holder:
        holder.execute(text("SELECT FROM images WHERE image_id = 'own' FOR NO KEY UPDATE"))
        adding = pool.submit(bench.add, job_id, item(0, "own", content="lake"))
        wait_until(database_url, _WAITING)
        holder.execute(text("SELECT FROM images WHERE image_id = 'original' FOR NO KEY UPDATE NOWAIT"))
        holder.rollback()
        adding.result()
    engine.dispose()
    bench.catalogue.close()


_MANY_LINKS = """
INSERT INTO images (collection_id, image_id, content_hash, size_bytes, attributes, duplicate_of)
SELECT collection_id, 'copy-' || n, 'lake', 1, '{}', 'original' FROM collections, generate_series(1, 500) n
"""


def test_of_the_duplicates_of_an_original_that_goes_one_alone_is_read(database_url: str) -> None:
    bench = Bench(connect(database_url), lambda: None)
    photos = bench.collection()
    bench.index(photos, item(0, "original"))
    execute(database_url, _MANY_LINKS)
    read: list[int] = []

    def note(_: object, cursor: psycopg.Cursor[object], *__: object) -> None:
        read.extend([cursor.rowcount] if cursor.description else [])

    event.listen(Engine, "after_cursor_execute", note)
    [ref] = bench.catalogue.feed_writer.delete(photos.collection_id, ["original"]).chunks
    event.remove(Engine, "after_cursor_execute", note)
    assert max(read) == 1
    [heir] = bench.lease(ref).items
    assert bench.catalogue.images.get(photos.collection_id, "copy-500").duplicate_of == heir.image_id == "copy-1"
    bench.catalogue.close()


def test_of_two_trainings_with_one_key_at_once_one_is_made(database_url: str) -> None:
    catalogue = connect(database_url)
    photos = catalogue.collections.create("photos", [SPACE], 1)
    first, second = (TrainingSpec(name, FittedKind.SIFT_VLAD, 64, 1000) for name in ("first", "second"))
    made = catalogue.trainings.create(photos.collection_id, first)
    engine = create_engine(database_url)
    with ThreadPoolExecutor(1) as pool, engine.connect() as other:
        other.execute(text("UPDATE jobs SET idempotency_key = 'once'"))
        creating = pool.submit(catalogue.trainings.create, photos.collection_id, second, idempotency_key="once")
        wait_until(database_url, _WAITING)
        other.commit()
        assert creating.result() == made
    engine.dispose()
    catalogue.close()


def closed_job_of(bench: Bench, photos: Collection, *chunks: list[NewItem]) -> list[LeasedChunk]:
    """Return the leased chunks of a job that takes nothing more."""
    job_id = bench.job(photos)
    leased = [bench.lease(bench.add(job_id, *items)) for items in chunks]
    bench.catalogue.jobs.close(job_id)
    return leased


def test_a_worker_that_ends_a_chunk_waits_for_nobody_who_holds_its_job(database_url: str) -> None:
    """Locks are taken in one order, the job's before the chunk's: whoever holds the chunk cannot wait for the job."""
    bench = Bench(connect(database_url), lambda: None)
    [leased] = closed_job_of(bench, bench.collection(), [item(0)])
    engine = create_engine(database_url)
    with ThreadPoolExecutor(1) as pool, engine.begin() as holder:
        holder.execute(text("SELECT FROM jobs FOR NO KEY UPDATE"))
        committing = pool.submit(bench.commit, leased, leased.items)
        wait_until(database_url, "SELECT FROM job_items WHERE state = 'indexed'")
        holder.execute(text("SELECT FROM job_chunks FOR NO KEY UPDATE NOWAIT"))
        holder.rollback()
        committing.result()
    wait_until(database_url, "SELECT FROM jobs WHERE ended_at IS NOT NULL")
    engine.dispose()
    bench.catalogue.close()


def test_the_end_of_a_job_is_written_down_whichever_of_its_chunks_ends_last(database_url: str) -> None:
    bench = Bench(connect(database_url), lambda: None)
    photos = bench.collection(shards=2)
    one, other = (next(n for n in range(99) if shard_of(f"image-{n}", 2) == shard) for shard in range(2))
    together = threading.Barrier(2)

    def end(leased: LeasedChunk) -> None:
        together.wait()
        bench.commit(leased, leased.items)

    with ThreadPoolExecutor(2) as pool:
        for turn in range(40):
            chunks = [[item(0, f"image-{one}", content=f"{turn}")], [item(1, f"image-{other}", content=f"{turn}")]]
            list(pool.map(end, closed_job_of(bench, photos, *chunks)))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM jobs WHERE ended_at IS NULL")).scalar_one() == 0
    engine.dispose()
    bench.catalogue.close()


def test_a_job_whose_end_was_never_written_down_has_ended_all_the_same(database_url: str) -> None:
    bench = Bench(connect(database_url), lambda: None)
    [leased] = closed_job_of(bench, bench.collection(), [item(0)])
    bench.commit(leased, leased.items)
    execute(database_url, "UPDATE jobs SET ended_at = NULL")
    bench.catalogue.jobs.close(leased.ref.job_id, BROKEN)
    execute(database_url, "UPDATE jobs SET ended_at = NULL")
    bench.catalogue.collections.delete("photos")
    ended = bench.catalogue.jobs.get(leased.ref.job_id)
    assert (ended.state, ended.error, ended.indexed, ended.failed) == (JobState.COMPLETED, None, 1, 0)
    bench.catalogue.close()


class Stand:
    """A server of a test's own, to be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = PostgresServer(folder / "data", folder / "run")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server.prepare()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.server.command(),
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=die_with_parent(signal.SIGQUIT, self.server.identity()),
            )
        while not self.server.is_ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def stand() -> Iterator[Stand]:
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        Path(folder).chmod(0o711)
        made = Stand(Path(folder))
        yield made
        made.kill()
        made.server.prepare()


def test_a_killed_server_loses_nothing_and_the_next_call_works(stand: Stand) -> None:
    stand.start()
    assert not stand.server.url().startswith("postgresql:")
    stand.server.create_database("pixvec")
    migrations.upgrade(stand.server.url())
    catalogue = connect(stand.server.url())
    catalogue.collections.create("photos", [SPACE], 2)
    stand.kill()
    with pytest.raises(DatabaseUnavailable):
        catalogue.collections.get("photos")
    # A number in the lock file that some other process has by now.
    lock = stand.folder / "data" / "postmaster.pid"
    lock.write_text("1\n" + lock.read_text().split("\n", 1)[1])
    stand.start()
    assert catalogue.collections.get("photos").shard_count == 2
    with pytest.raises(FailedPrecondition, match="is running on"):
        PostgresServer(stand.folder / "data", stand.folder / "run").prepare(patience_s=0.0)
    catalogue.close()


def test_folders_that_will_not_do_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="shorter run folder"):
        PostgresServer(tmp_path / "data", tmp_path / ("x" * 100))
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        Path(folder).chmod(0o711)
        data = Path(folder) / "data"
        data.mkdir()
        (data / "holiday.txt").write_text("not a database")
        with pytest.raises(FailedPrecondition, match="holds no database"):
            PostgresServer(data, Path(folder) / "run").prepare()
        (data / "PG_VERSION").write_text("12\n")
        with pytest.raises(FailedPrecondition, match="PostgreSQL 12"):
            PostgresServer(data, Path(folder) / "run").prepare()
