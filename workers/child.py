"""What lives in the Celery child: models, decoders, connections, and the EmbedderService beside the tasks."""

import asyncio
import contextlib
import os
import socket
import threading
import uuid
from dataclasses import dataclass

from pixvec.catalogue import postgres
from pixvec.catalogue.interfaces import Catalogue
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.jobs.blobs import FsspecBlobStore
from pixvec.jobs.queue import CeleryChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.lifeline import follow_parent
from pixvec.rpc.pusher import GrpcPusher
from pixvec.rpc.server import ServerHandle, build_server
from pixvec.settings import WorkerSettings
from pixvec.telemetry.exposition import serve_metrics
from pixvec.telemetry.logging import configure_logging
from pixvec.vision.decode import DecodeLimits
from pixvec.vision.weights import WeightSource, parse_weights
from workers.batcher import Batcher
from workers.decode_pool import DecodePool
from workers.embedder import EmbedderService
from workers.ingest import IngestRunner
from workers.leases import LeaseKeeper
from workers.model_host import ModelHost

SERVICES = ("pixvec.internal.v1.EmbedderService",)


@dataclass(frozen=True, slots=True)
class Child:
    """The parts that tasks use."""

    catalogue: Catalogue
    sources: UriSources
    queue: CeleryChunkQueue
    runner: IngestRunner


def start_child(settings: WorkerSettings) -> Child:
    """Wire and start everything. Called once in the child, before its first task."""
    follow_parent()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    configure_logging("worker", level=settings.log_level, json=settings.log_json)
    serve_metrics(settings.metrics_host, settings.metrics_port)
    catalogue = postgres.connect(settings.database_url)
    weights = WeightSource(
        parse_weights(settings.worker_weights), settings.worker_download, settings.worker_download_limit_s
    )
    host = ModelHost(weights)
    limits = DecodeLimits(settings.max_picture_bytes, settings.max_picture_pixels)
    decoder = DecodePool(settings.worker_decoders or len(os.sched_getaffinity(0)), limits)
    batcher = Batcher(settings.worker_batch_images)
    leases = LeaseKeeper(catalogue.jobs, settings.worker_lease_s)
    decoder.start()
    batcher.start()
    leases.start()
    serve_in_thread(settings.worker_listen, EmbedderService(host, decoder, batcher))
    sources = UriSources(settings.ingest_roots, settings.max_picture_bytes)
    queue = CeleryChunkQueue(settings.broker_url)
    runner = IngestRunner(
        catalogue,
        FsspecBlobStore(settings.blob_url),
        sources,
        queue,
        GrpcPusher(catalogue.topology),
        host,
        decoder,
        batcher,
        leases,
        owner=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        lease_s=settings.worker_lease_s,
        batch_images=settings.worker_batch_images,
    )
    return Child(catalogue, sources, queue, runner)


def serve_in_thread(listen: str, servicer: EmbedderService) -> None:
    """Serve from an event loop of its own until the process ends. Raises OSError when the address is taken."""
    ready = threading.Event()
    failures: list[BaseException] = []

    async def serve() -> None:
        handle: ServerHandle = build_server(listen)
        embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server(servicer, handle.server)
        try:
            await handle.start(SERVICES)
        except OSError as error:
            failures.append(error)
            return
        finally:
            ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await handle.server.wait_for_termination()

    threading.Thread(target=lambda: asyncio.run(serve()), name="embedder", daemon=True).start()
    ready.wait()
    if failures:
        raise failures[0]
