"""TCP ports of this machine: whether one can be had, and which."""

import os
import socket

from pixvec.errors import FailedPrecondition, InvalidRequest


def check_address(address: str) -> None:
    """Raise InvalidRequest for what is neither `host:port` nor `unix:` and an absolute path."""
    if address.startswith("unix:/"):
        return
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise InvalidRequest(
            f"cannot listen on {address!r}: give HOST:PORT, such as 127.0.0.1:50051, with a port of at most 65535"
            " (0: any free one)",
            field="listen",
        )


def free_port(host: str) -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_free(address: str, remedy: str) -> None:
    """Raise FailedPrecondition, with the remedy, when nothing can listen on `host:port` now. A `unix:` address is left
    to whoever listens there."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise FailedPrecondition(f"cannot listen on {address} (no such host): {remedy}") from error
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: connections of the last one that are still being closed are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            raise FailedPrecondition(
                f"cannot listen on {address} ({os.strerror(error.errno or 0)}): {remedy}"
            ) from error
