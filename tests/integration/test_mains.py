"""A process that cannot start says why in one line, and ends with status 1."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

MODULES = ["services.gateway", "services.searcher", "workers", "workers.sweeper"]
LIMIT_S = 60.0
NO_DATABASE = "postgresql+psycopg://nobody@localhost:1/nothing"


def run(module: str, settings: Mapping[str, str]) -> str:
    """Run a main module that is to fail. Return what it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIXVEC_")}
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env=inherited | settings | {"PIXVEC_LOG_JSON": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_S,
        check=False,
        text=True,
    )
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stdout
    return ended.stdout


def last_line(said: str) -> dict[str, object]:
    line: dict[str, object] = json.loads(said.splitlines()[-1])
    return line


def settings(folder: Path, database_url: str, **more: str) -> dict[str, str]:
    plain = {
        "database_url": database_url,
        "broker_url": f"redis+socket://{folder}/redis.sock",
        "blob_url": (folder / "blobs").as_uri(),
        "searcher_id": "searcher-0",
        "searcher_data": str(folder / "searcher"),
    }
    return {f"PIXVEC_{name.upper()}": value for name, value in (plain | more).items()}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("module", MODULES)
def test_settings_that_are_missing_are_named(module: str) -> None:
    assert "PIXVEC_DATABASE_URL: Field required" in run(module, {})


@pytest.mark.parametrize("module", MODULES)
def test_a_database_that_cannot_be_reached_is_told_in_one_line(module: str, tmp_path: Path) -> None:
    said = run(module, settings(tmp_path, NO_DATABASE))
    assert "the database cannot be used now" in str(last_line(said)["error"])
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "setting"),
    [
        ("services.gateway", "gateway_listen"),
        ("services.searcher", "searcher_listen"),
        ("workers.sweeper", "metrics_port"),
    ],
)
def test_an_address_in_use_is_told_in_one_line(
    module: str, setting: str, database_url: str, taken_port: int, tmp_path: Path
) -> None:
    value = str(taken_port) if setting == "metrics_port" else f"127.0.0.1:{taken_port}"
    said = run(module, settings(tmp_path, database_url, **{setting: value}))
    assert str(taken_port) in str(last_line(said)["error"])


def test_the_sweeper_holds_no_pictures_and_asks_for_no_blob_store() -> None:
    assert "PIXVEC_BLOB_URL" not in run("workers.sweeper", {})
