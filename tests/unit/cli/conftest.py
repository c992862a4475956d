"""The command line as a shell runs it, against a fake server on a Unix socket."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pixvec.cli import main
from pixvec.client import Client
from pixvec.client.testing import FakeServer


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    # What a test reads must not depend on the terminal that it runs in.
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("PIXVEC_ADDRESS", raising=False)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pixvec", *map(str, arguments)])
        capsys.readouterr()
        try:
            main.main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Ended(status, *capsys.readouterr())

    return run


@pytest.fixture
def server(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer() as running:
        monkeypatch.setenv("PIXVEC_ADDRESS", running.address)
        yield running


@pytest.fixture
def photos(server: FakeServer) -> Iterator[Client]:
    """A client of the server, which holds an empty collection `photos`."""
    with Client(server.address) as client:
        client.create_collection("photos")
        yield client


@pytest.fixture
def nobody(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An address at which nothing listens."""
    address = f"unix:{tmp_path}/nobody.sock"
    monkeypatch.setenv("PIXVEC_ADDRESS", address)
    return address


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three pictures, one of which is empty and thus none, and a text."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"a picture")
    (folder / "sub" / "b[all].png").write_bytes(b"another picture")
    (folder / "empty.jpg").touch()
    (folder / "notes.txt").write_text("not a picture")
    return folder
