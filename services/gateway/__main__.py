"""The gateway process: settings, logging, metrics, stores, servicers, server; it serves until it is told to stop."""

import asyncio
import sys
from dataclasses import dataclass

import grpc
import uvloop

from pixvec.api.v1 import (
    admin_service_pb2_grpc,
    collection_service_pb2_grpc,
    image_service_pb2_grpc,
    job_service_pb2_grpc,
    model_service_pb2_grpc,
    search_service_pb2_grpc,
)
from pixvec.blobs.store import FileStore, FsspecBlobStore
from pixvec.catalogue import postgres
from pixvec.catalogue.interfaces import Catalogue
from pixvec.errors import PixvecError
from pixvec.jobs.queue import CeleryChunkQueue, ChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.comparer import GrpcComparer
from pixvec.rpc.embedder_client import GrpcEmbedder
from pixvec.rpc.pusher import GrpcPusher
from pixvec.rpc.searcher_admin import GrpcSearcherAdmin
from pixvec.rpc.searcher_client import GrpcSearchers
from pixvec.rpc.server import build_server, run_until_signalled
from pixvec.settings import GatewaySettings, read_settings
from pixvec.telemetry.exposition import serve_metrics
from pixvec.telemetry.logging import configure_logging, get_logger
from services.gateway.admin_service import AdminService
from services.gateway.batches import Batches
from services.gateway.classification import Classifications
from services.gateway.closing import Closing
from services.gateway.collection_service import CollectionService
from services.gateway.collections import Collections
from services.gateway.contents import Contents
from services.gateway.deletions import Deletions
from services.gateway.directory import Directory
from services.gateway.duplicates import Duplicates
from services.gateway.heartbeat import StreamHeartbeat
from services.gateway.image_service import INGEST_METHOD, ImageService
from services.gateway.ingest_jobs import IngestJobs
from services.gateway.ingest_stream import StreamLimits
from services.gateway.ingests import Ingests
from services.gateway.intake import Intake
from services.gateway.job_service import JobService
from services.gateway.model_service import ModelService
from services.gateway.models import Models
from services.gateway.pictures import StoredPictures
from services.gateway.publisher import ChunkPublisher
from services.gateway.queries import Queries
from services.gateway.scatter import Scatter
from services.gateway.scenes import Scenes
from services.gateway.search_service import SearchService
from services.gateway.snapshots import Snapshots
from services.gateway.topology import Topology
from services.gateway.trainings import Trainings
from services.gateway.watcher import OutcomeWatcher

SERVICES = (
    "pixvec.api.v1.AdminService",
    "pixvec.api.v1.CollectionService",
    "pixvec.api.v1.ImageService",
    "pixvec.api.v1.JobService",
    "pixvec.api.v1.ModelService",
    "pixvec.api.v1.SearchService",
)
DATABASE_THREADS = 8
# Of each kind: calls beyond this wait longer than their callers would.
MAX_WAITING_CALLS = 256
# Every open stream is one.
MAX_CONCURRENT_CALLS = 4096

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Threads:
    """Where what blocks runs."""

    sql: BlockingCalls
    files: BlockingCalls
    broker: BlockingCalls
    pushes: BlockingCalls

    def close(self) -> None:
        """Take no more calls."""
        for calls in (self.sql, self.files, self.broker, self.pushes):
            calls.close(wait=False)


@dataclass(frozen=True, slots=True)
class Backends:
    """What the gateway calls."""

    catalogue: Catalogue
    blobs: FileStore
    sources: UriSources
    embedder: GrpcEmbedder
    comparer: GrpcComparer
    searchers: GrpcSearchers
    searcher_admin: GrpcSearcherAdmin
    pusher: GrpcPusher
    queue: ChunkQueue

    async def close(self) -> None:
        """Let go of connections."""
        self.pusher.close()
        self.queue.close()
        await self.searchers.close()
        await self.searcher_admin.close()
        await self.embedder.close()
        await self.comparer.close()
        self.catalogue.close()


async def serve(settings: GatewaySettings, catalogue: Catalogue) -> None:
    """Serve until SIGTERM or SIGINT."""
    threads = Threads(
        sql=BlockingCalls("database", DATABASE_THREADS, max_waiting=MAX_WAITING_CALLS),
        files=BlockingCalls("files", 8, max_waiting=MAX_WAITING_CALLS),
        broker=BlockingCalls("broker", 1, max_waiting=MAX_WAITING_CALLS),
        pushes=BlockingCalls("pushes", 4, max_waiting=MAX_WAITING_CALLS),
    )
    backends = Backends(
        catalogue=catalogue,
        blobs=FsspecBlobStore(settings.blob_url),
        sources=UriSources(settings.ingest_roots, settings.max_picture_bytes),
        embedder=GrpcEmbedder(settings.embedder_target),
        comparer=GrpcComparer(settings.embedder_target),
        searchers=GrpcSearchers(),
        searcher_admin=GrpcSearcherAdmin(),
        pusher=GrpcPusher(catalogue.topology),
        queue=CeleryChunkQueue(settings.broker_url),
    )
    closing = Closing()
    publisher = ChunkPublisher(backends.queue, catalogue.jobs, threads.broker, threads.sql)
    watcher = OutcomeWatcher(catalogue.jobs, threads.sql)
    heartbeat = StreamHeartbeat(watcher, catalogue.jobs, threads.sql)
    handle = build_server(
        settings.gateway_listen,
        self_checking=frozenset({INGEST_METHOD}),
        reflected=SERVICES if settings.gateway_reflection else (),
        max_concurrent_calls=MAX_CONCURRENT_CALLS,
    )
    add_services(handle.server, settings, threads, backends, publisher, watcher, closing)

    def end_streams() -> None:
        closing.begin()
        watcher.fail_all(closing.error())

    await handle.start(SERVICES)
    # A background task that dies takes the process with it, to be started anew: it would be of no use without.
    async with asyncio.TaskGroup() as background:
        tasks = [background.create_task(each.run()) for each in (publisher, watcher, heartbeat)]
        await run_until_signalled(handle, grace_s=settings.gateway_shutdown_grace_s, before_stop=end_streams)
        for task in tasks:
            task.cancel()
    threads.close()
    await backends.close()


def add_services(
    server: grpc.aio.Server,
    settings: GatewaySettings,
    threads: Threads,
    backends: Backends,
    publisher: ChunkPublisher,
    watcher: OutcomeWatcher,
    closing: Closing,
) -> None:
    """Make the services and add them to the server."""
    catalogue, sql, files = backends.catalogue, threads.sql, threads.files
    blobs, embedder = backends.blobs, backends.embedder
    directory = Directory(catalogue, sql)
    shards = {"default_shard_count": settings.default_shard_count, "replicas": settings.replicas}
    collections = Collections(catalogue, directory, embedder, sql, **shards)
    collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(CollectionService(collections), server)

    intake = Intake(catalogue.jobs, blobs, backends.sources, sql, files, max_open_items=settings.max_open_items)
    limits = StreamLimits(max_picture_bytes=settings.max_picture_bytes)
    ingests = Ingests(
        directory,
        catalogue.jobs,
        intake,
        publisher,
        watcher,
        sql,
        closing,
        limits,
        max_streams=settings.max_ingest_streams,
    )
    deletions = Deletions(directory, catalogue.feed_writer, backends.pusher, publisher, sql, threads.pushes)
    contents = Contents(directory, catalogue.images, blobs, embedder, sql, files)
    images = ImageService(ingests, deletions, contents, directory, catalogue.images, sql)
    image_service_pb2_grpc.add_ImageServiceServicer_to_server(images, server)

    jobs = IngestJobs(directory, catalogue.jobs, backends.sources, publisher, sql, files)
    trainings = Trainings(directory, catalogue, embedder, publisher, sql)
    job_service_pb2_grpc.add_JobServiceServicer_to_server(JobService(jobs, trainings, closing), server)
    models = Models(catalogue.models, embedder, blobs, sql, files)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)

    scatter = Scatter(directory, backends.searchers, partial_after_s=settings.query_partial_after_s)
    pictures = StoredPictures(catalogue.images, blobs, sql, files)
    queries = Queries(directory, scatter, embedder, catalogue.images, pictures, sql)
    batches = Batches(directory, scatter, embedder)
    classifications = Classifications(directory, scatter, embedder)
    scenes = Scenes(directory, scatter, embedder, catalogue.images, sql)
    duplicates = Duplicates(directory, queries, catalogue.images, pictures, backends.comparer, sql)
    search = SearchService(queries, batches, scenes, classifications, duplicates)
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(search, server)

    snapshots = Snapshots(directory, catalogue, backends.searcher_admin, blobs, sql, files)
    topology = Topology(directory, catalogue.topology, backends.searcher_admin, sql)
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(AdminService(snapshots, topology), server)


def main() -> None:
    """Wire and run the gateway."""
    settings = read_settings(GatewaySettings)
    configure_logging("gateway", level=settings.log_level, json=settings.log_json)
    try:
        serve_metrics(settings.metrics_host, settings.metrics_port)
        catalogue = postgres.connect(settings.database_url, pool_size=DATABASE_THREADS)
        uvloop.run(serve(settings, catalogue))
    except (PixvecError, OSError) as error:
        log.error("gateway_failed", error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
