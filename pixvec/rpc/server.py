"""Builds, starts and stops a gRPC server the same way in every process."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pixvec.rpc.addresses import clear_stale_socket, in_use, socket_path
from pixvec.rpc.channels import MAX_MESSAGE_BYTES
from pixvec.rpc.interceptors import CallGuard, Interceptor
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

# Long enough for a load balancer or a client's health watch to look elsewhere.
DRAIN_S = 0.2
# A call that waits holds its messages in memory.
MAX_CONCURRENT_CALLS = 1024


@dataclass(slots=True)
class ServerHandle:
    """A server with its health service. Add servicers to `server`, then `start` it."""

    server: grpc.aio.Server
    health: Any
    listen: str
    port: int = 0
    _stopping: bool = False

    @property
    def address(self) -> str:
        """Where it listens: `listen` with the port that was given for port 0."""
        if socket_path(self.listen) is not None:
            return self.listen
        return f"{self.listen.rpartition(':')[0]}:{self.port}"

    async def start(self, services: Sequence[str] = ()) -> None:
        """Listen, and report SERVING for the whole and each of `services`. Raises OSError when the address is taken."""
        clear_stale_socket(self.listen)
        try:
            self.port = self.server.add_insecure_port(self.listen)
        except RuntimeError as error:
            raise in_use(self.listen) from error
        await self.server.start()
        for service in ("", *services):
            await self.health.set(service, health_pb2.HealthCheckResponse.SERVING)
        log.info("server_started", address=self.address)

    async def stop(self, grace_s: float) -> None:
        """Report NOT_SERVING, wait a moment, then refuse new calls and give those under way `grace_s`."""
        if not self._stopping:
            self._stopping = True
            log.info("server_stopping", address=self.address, grace_s=grace_s)
            await self.health.enter_graceful_shutdown()
            await asyncio.sleep(min(DRAIN_S, grace_s))
        await self.server.stop(grace_s)
        if (path := socket_path(self.listen)) is not None:
            path.unlink(missing_ok=True)


def build_server(
    listen: str,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    interceptors: Sequence[Interceptor] = (),
    self_checking: frozenset[str] = frozenset(),
    reflected: Sequence[str] = (),
    max_concurrent_calls: int = MAX_CONCURRENT_CALLS,
) -> ServerHandle:
    """Return a server for `host:port` or `unix:/path`, to be called in its event loop.

    Every call is counted, checked and its errors translated (CallGuard, outermost, then `interceptors`). `reflected`
    names services to describe by reflection; none by default. More than `max_concurrent_calls`, streams
    and health checks among them, are refused with RESOURCE_EXHAUSTED.
    """
    server = grpc.aio.server(
        interceptors=[CallGuard(self_checking), *interceptors],
        options=_server_options(max_message_bytes),
        maximum_concurrent_rpcs=max_concurrent_calls,
    )
    health_servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lag behind
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if reflected:
        _add_reflection(server, reflected)
    return ServerHandle(server, health_servicer, listen)


async def run_until_signalled(
    handle: ServerHandle, *, grace_s: float, before_stop: Callable[[], None] = lambda: None
) -> None:
    """Wait for SIGTERM or SIGINT, then stop gracefully. A second signal stops at once. `before_stop` is called first:
    the place to end streams that would otherwise last out the grace."""
    signalled = asyncio.Event()
    again = asyncio.Event()

    def receive() -> None:
        (again if signalled.is_set() else signalled).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive)
    await signalled.wait()
    before_stop()
    stopping = asyncio.ensure_future(handle.stop(grace_s))
    impatient = asyncio.ensure_future(again.wait())
    await asyncio.wait({stopping, impatient}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await handle.server.stop(None)
    await stopping
    impatient.cancel()


def _server_options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        # Otherwise a second server binds the same port and takes half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ]


def _add_reflection(server: grpc.aio.Server, names: Sequence[str]) -> None:
    from grpc_reflection.v1alpha import reflection

    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
