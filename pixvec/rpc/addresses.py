"""Listening addresses: `host:port`, or `unix:/path` for a socket file."""

import errno
import socket
from pathlib import Path

_MAX_SOCKET_PATH_BYTES = 107


def socket_path(address: str) -> Path | None:
    """Return the socket file of a `unix:` address, None for another kind."""
    if not address.startswith("unix:"):
        return None
    return Path(address.removeprefix("unix:").removeprefix("//"))


def clear_stale_socket(address: str) -> None:
    """Remove the socket file a killed process left. Raises OSError when a living process listens there, or when the
    path is too long for a socket."""
    path = socket_path(address)
    if path is None:
        return
    if len(bytes(path)) > _MAX_SOCKET_PATH_BYTES:
        raise OSError(
            errno.ENAMETOOLONG,
            f"a socket path has at most {_MAX_SOCKET_PATH_BYTES} bytes; use a shorter one",
            str(path),
        )
    if path.is_socket() and _answers(path):
        raise in_use(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def in_use(address: str) -> OSError:
    """Return the error for an address that cannot be listened on."""
    return OSError(
        errno.EADDRINUSE,
        f"cannot listen on {address}: in use by another process; stop that one, or use another address",
    )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except TimeoutError:
            return True
        return True
