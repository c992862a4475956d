"""The fake server itself, and the faults it can be told to have."""

import shutil
import tempfile
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import grpc
from google.protobuf.message import Message

from pixvec.api.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server
from pixvec.api.v1.collection_service_pb2_grpc import add_CollectionServiceServicer_to_server
from pixvec.api.v1.image_service_pb2_grpc import add_ImageServiceServicer_to_server
from pixvec.api.v1.job_service_pb2_grpc import add_JobServiceServicer_to_server
from pixvec.api.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from pixvec.api.v1.search_service_pb2_grpc import add_SearchServiceServicer_to_server
from pixvec.client.testing.admin import FakeAdmin
from pixvec.client.testing.models import FakeModels
from pixvec.client.testing.searches import FakeSearch
from pixvec.client.testing.servicers import FakeCollections, FakeImages, FakeJobs
from pixvec.client.testing.store import Store
from pixvec.errors import PixvecError
from pixvec.rpc.channels import MAX_MESSAGE_BYTES
from pixvec.rpc.errors import status_code, to_metadata, to_status


class FakeServer:
    """Listens on a Unix socket of its own: `address` is what a Client takes. Use it in a `with`.

    Pictures are compared by their bytes: the same bytes score 1. Any bytes but none are a picture, and a text is as the
    picture of its UTF-8 bytes.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="pixvec-fake-")
        self.address = f"unix:{self._folder}/gateway.sock"
        self.store = Store()
        self.requests: list[tuple[str, Message]] = []
        self._refusals: dict[str, deque[PixvecError]] = defaultdict(deque)
        self._break_after: deque[int] = deque()
        self._server: grpc.Server | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Serve; again after `stop`, with everything as it was."""
        options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
        server = grpc.server(ThreadPoolExecutor(max_workers=16), options=options)
        add_AdminServiceServicer_to_server(FakeAdmin(self), server)
        add_CollectionServiceServicer_to_server(FakeCollections(self), server)
        add_ImageServiceServicer_to_server(FakeImages(self), server)
        add_JobServiceServicer_to_server(FakeJobs(self), server)
        add_ModelServiceServicer_to_server(FakeModels(self), server)
        add_SearchServiceServicer_to_server(FakeSearch(self), server)
        server.add_insecure_port(self.address)
        server.start()
        self._server = server

    def stop(self) -> None:
        """Break every connection."""
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def refuse(self, method: str, error: PixvecError, times: int = 1) -> None:
        """Answer the next calls of a method, such as `Query`, with an error."""
        self._refusals[method].extend([error] * times)

    def break_ingest_after(self, items: int) -> None:
        """Break the next ingest stream after it took in that many items, the last of them unreported."""
        self._break_after.append(items)

    def fail_snapshots(self, message: str) -> None:
        """Have every shard's snapshot fail from now on, with this message."""
        self.store.snapshot_failure = message

    def called(self, method: str) -> list[Message]:
        """Return the requests of a method that arrived so far."""
        return [request for name, request in self.requests if name == method]

    def next_break(self) -> int | None:
        """Return after how many items the stream that just opened has to break."""
        with self._lock:
            return self._break_after.popleft() if self._break_after else None

    @contextmanager
    def answering(self, method: str, request: Message, context: grpc.ServicerContext) -> Iterator[Store]:
        """Note the request; give the store out under its lock; turn errors into statuses."""
        self.requests.append((method, request))
        try:
            if self._refusals[method]:
                raise self._refusals[method].popleft()
            with self.store.lock:
                yield self.store
        except PixvecError as error:
            abort(context, error)


def abort(context: grpc.ServicerContext, error: PixvecError) -> None:
    """End a call with a domain error."""
    context.set_trailing_metadata(to_metadata(to_status(error)))
    context.abort(status_code(error), error.message)
