"""The EmbedderService's server, in a thread and an event loop of its own beside Celery's tasks."""

import asyncio
import contextlib
import threading

from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.server import build_server
from workers.embedder import EmbedderService

SERVICES = ("pixvec.internal.v1.EmbedderService",)
# Each may bring many megabytes of pictures, and has to wait for the one model.
MAX_CONCURRENT_CALLS = 256


class ServerThread:
    """Serves from `start` until `stop`. Calls under way then have `grace_s` to end."""

    def __init__(self, listen: str, servicer: EmbedderService, *, grace_s: float) -> None:
        self._listen = listen
        self._servicer = servicer
        self._grace_s = grace_s
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="embedder", daemon=True)

    def start(self) -> None:
        """Return once it serves. Raises OSError when the address is taken."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Report NOT_SERVING and take no more calls. Returns at once; a signal handler may call it, and again."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped already
            self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        """Wait until it has stopped."""
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        handle = build_server(self._listen, max_concurrent_calls=MAX_CONCURRENT_CALLS)
        embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server(self._servicer, handle.server)
        try:
            await handle.start(SERVICES)
        except OSError as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        await self._stop.wait()
        await handle.stop(self._grace_s)
