"""Unit tests reach no network: what needs a peer belongs to the contract, integration or end-to-end tests."""

from collections.abc import Iterator

import pytest
import pytest_socket


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    # Event loops need a pair of Unix sockets for themselves.
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()
