"""Failed calls as pixvec's own errors."""

import grpc

from pixvec.errors import PixvecError, Unavailable
from pixvec.rpc.errors import from_rpc_error

# How gRPC words a connection that broke under a call, when it does not say UNAVAILABLE.
_BROKEN = ("RST_STREAM", "Stream removed", "GOAWAY", "Connection reset")
_UNREACHABLE = ("failed to connect", "DNS resolution failed", "connections to all backends failing", "No such file")


def client_error(error: grpc.RpcError, address: str = "") -> PixvecError:
    """Return the error that a failed call stands for; connections that broke or never came about are Unavailable."""
    found = from_rpc_error(error)
    if type(found) is PixvecError and any(word in found.message for word in _BROKEN):
        return Unavailable(f"the connection broke: {found.message}")
    if type(found) is Unavailable and any(word in found.message for word in _UNREACHABLE):
        where = f"at {address} " if address else ""
        return Unavailable(
            f"no pixvec answers {where}({found.message}). Start one with `pixvec up`, or give the address of yours"
        )
    return found
