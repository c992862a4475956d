"""A server of the product on a socket file, for contract tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from pixvec.rpc.server import ServerHandle, build_server


@asynccontextmanager
async def served(
    add: Callable[[grpc.aio.Server], None], folder: Path | None = None, **options: object
) -> AsyncIterator[ServerHandle]:
    """Serve what `add` adds to the server until the block ends."""
    with TemporaryDirectory(prefix="pv-") as own:
        handle = build_server(f"unix:{folder or own}/s.sock", **options)
        add(handle.server)
        await handle.start(("test.Service",))
        try:
            yield handle
        finally:
            await handle.stop(0)
