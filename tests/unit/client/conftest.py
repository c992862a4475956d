from collections.abc import Iterator

import pytest

from pixvec.client import Client
from pixvec.client.testing import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def client(server: FakeServer) -> Iterator[Client]:
    with Client(server.address) as connected:
        connected.create_collection("photos")
        yield connected
