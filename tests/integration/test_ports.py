import socket

import pytest

from pixvec.embedded.ports import check_free, free_port
from pixvec.errors import FailedPrecondition


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_port_that_is_taken_is_refused_with_the_remedy(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{host}:{server.getsockname()[1]}"
        with pytest.raises(FailedPrecondition, match=rf"{address} \(Address already in use\): choose another"):
            check_free(address, "choose another")
    check_free(address, "choose another")


def test_a_free_port_is_free():
    check_free(f"127.0.0.1:{free_port('127.0.0.1')}", "")


def test_connections_that_are_being_closed_are_no_hindrance():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        with socket.create_connection(place) as caller:
            accepted, _ = server.accept()
            accepted.close()
            caller.recv(1)
    check_free(f"127.0.0.1:{place[1]}", "")


@pytest.mark.parametrize("address", ["unix:/run/gateway.sock", "nonsense"])
def test_what_cannot_be_told_is_left_to_the_server(address):
    check_free(address, "")


@pytest.mark.parametrize("host", ["no-such-host", "x" * 70])
def test_a_host_that_is_none_is_refused_with_the_remedy(host, monkeypatch):
    def unknown(*arguments, **named):
        if arguments[0] == "no-such-host":
            raise socket.gaierror("unknown")
        return known(*arguments, **named)

    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(FailedPrecondition, match=rf"{host}:1 \(no such host\): choose another"):
        check_free(f"{host}:1", "choose another")


def test_a_port_that_is_not_ours_to_take_is_named():
    with pytest.raises(FailedPrecondition, match=r"192\.0\.2\.1:1 "):
        check_free("192.0.2.1:1", "choose another")
