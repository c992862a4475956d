"""A private PostgreSQL server for the whole run, and a fresh migrated database for each test that asks."""

import functools
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pixvec.catalogue import migrations
from pixvec.embedded.postgres import PostgresServer
from pixvec.embedded.process import die_with_parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """Train what the tests will ask for before the first of them: it counts into the time limit of none."""
    if session.config.option.collectonly or session.testsfailed:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for fixture, trained in {"towers": _towers, "detector_weights": _detector_weights}.items():
        if fixture in wanted:
            trained(session.config)


@functools.cache
def _template(server: PostgresServer) -> str:
    """Migrate once, then copy: a tenth of the time of migrating for each test."""
    server.create_database("template_pixvec")
    migrations.upgrade(server.url("template_pixvec"))
    return "template_pixvec"


def _wait_ready(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not server.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the test server did not start:\n{log.read_text()}")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    # Not pytest's own folder: only root may enter that one, and PostgreSQL will not run as root.
    folder = Path(tempfile.mkdtemp(prefix="pv-"))
    folder.chmod(0o711)
    server = PostgresServer(folder / "data", folder / "run")
    server.prepare()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*server.command(), "--fsync=off"],
            stdout=output,
            stderr=output,
            cwd="/",
            preexec_fn=die_with_parent(signal.SIGQUIT, server.identity()),
        )
    try:
        _wait_ready(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The address of the server's maintenance database."""
    return postgres_server.url("postgres")


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh database at the current schema revision."""
    template = _template(postgres_server)
    name = f"t{uuid.uuid4().hex}"
    _execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield postgres_server.url(name)
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def towers(request: pytest.FixtureRequest) -> Path:
    """The folder of a small model of pictures and captions, trained once and kept."""
    return _towers(request.config)


@pytest.fixture(scope="session")
def detector_weights(request: pytest.FixtureRequest) -> Path:
    """The file of a small detector of shapes, `tests.detectors.NAME`, trained once and kept."""
    return _detector_weights(request.config)


def _towers(config: pytest.Config) -> Path:
    # Here, because it takes torch with it, which most tests do without.
    from tests.towers import trained_towers

    assert config.cache is not None
    return trained_towers(config.cache)


def _detector_weights(config: pytest.Config) -> Path:
    from tests.detectors import trained_detector

    assert config.cache is not None
    return trained_detector(config.cache)


def _execute(server: PostgresServer, statement: str) -> None:
    plain = server.url("postgres").replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)
