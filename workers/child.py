"""What lives in the Celery child: models, decoders, connections, and the EmbedderService beside the tasks."""

import os
import socket
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from pixvec.blobs.store import FsspecBlobStore
from pixvec.catalogue import postgres
from pixvec.catalogue.interfaces import Catalogue
from pixvec.jobs.queue import CeleryChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.lifeline import follow_parent
from pixvec.rpc.pusher import GrpcPusher
from pixvec.settings import WorkerSettings
from pixvec.telemetry.exposition import serve_metrics
from pixvec.telemetry.logging import configure_logging
from pixvec.vision.decode import DecodeLimits
from pixvec.vision.weights import WeightSource, parse_weights
from workers.batcher import Batcher
from workers.comparing import Comparing
from workers.decode_pool import DecodePool
from workers.embedder import EmbedderService
from workers.fitted_models import FittedModels, fitted_folder
from workers.fitting import Fitting
from workers.ingest import IngestRunner
from workers.leases import LeaseKeeper
from workers.model_host import ModelHost
from workers.sampling import Sampler
from workers.server_thread import ServerThread
from workers.stopping import listen_for_stop
from workers.training import TrainingRunner

# For calls under way when the worker is told to stop.
SERVER_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Child:
    """The parts that tasks use."""

    catalogue: Catalogue
    sources: UriSources
    queue: CeleryChunkQueue
    runner: IngestRunner
    trainer: TrainingRunner
    server: ServerThread

    def stop(self) -> None:
        """Take on nothing more. Returns at once; a signal handler may call it."""
        self.runner.stop()
        self.trainer.stop()
        self.server.stop()

    def close(self) -> None:
        """Stop, and wait until every call has been answered."""
        self.stop()
        self.server.join()


def start_child(settings: WorkerSettings) -> Child:
    """Wire and start everything. Called once in the child, before its first task."""
    follow_parent()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    configure_logging("worker", level=settings.log_level, json=settings.log_json)
    serve_metrics(settings.metrics_host, settings.metrics_port)
    catalogue = postgres.connect(settings.database_url)
    weights = WeightSource(
        parse_weights(settings.worker_weights),
        settings.worker_download,
        settings.worker_download_limit_s,
        Path(settings.worker_models) if settings.worker_models else None,
    )
    blobs = FsspecBlobStore(settings.blob_url)
    weights = replace(weights, fitted=FittedModels(catalogue.models, blobs, fitted_folder()).find)
    host = ModelHost(weights)
    limits = DecodeLimits(settings.max_picture_bytes, settings.max_picture_pixels)
    decoder = DecodePool(settings.worker_decoders or len(os.sched_getaffinity(0)), limits)
    batcher = Batcher(settings.worker_batch_images)
    leases = LeaseKeeper(catalogue.jobs, settings.worker_lease_s)
    decoder.start()
    batcher.start()
    leases.start()
    sources = UriSources(settings.ingest_roots, settings.max_picture_bytes)
    queue = CeleryChunkQueue(settings.broker_url)
    owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    runner = IngestRunner(
        catalogue,
        blobs,
        sources,
        queue,
        GrpcPusher(catalogue.topology),
        host,
        decoder,
        batcher,
        leases,
        owner=owner,
        lease_s=settings.worker_lease_s,
        batch_images=settings.worker_batch_images,
    )
    service = EmbedderService(host, decoder, batcher, Comparing(decoder, blobs))
    server = ServerThread(settings.worker_listen, service, grace_s=SERVER_GRACE_S)
    fitting = Fitting(catalogue.trainings, Sampler(blobs, decoder), host, batcher)
    trainer = TrainingRunner(
        catalogue.trainings, blobs, queue, fitting, weights, owner=owner, lease_s=settings.worker_lease_s
    )
    child = Child(catalogue, sources, queue, runner, trainer, server)
    listen_for_stop(child.stop)
    server.start()
    return child
