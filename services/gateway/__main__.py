"""The gateway process: settings, logging, metrics, stores, servicers, server; it serves until it is told to stop."""

import asyncio
import sys

import uvloop

from pixvec.api.v1 import (
    collection_service_pb2_grpc,
    image_service_pb2_grpc,
    job_service_pb2_grpc,
    search_service_pb2_grpc,
)
from pixvec.catalogue import postgres
from pixvec.catalogue.interfaces import Catalogue
from pixvec.errors import PixvecError
from pixvec.jobs.blobs import FsspecBlobStore
from pixvec.jobs.queue import CeleryChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.rpc.embedder_client import GrpcEmbedder
from pixvec.rpc.pusher import GrpcPusher
from pixvec.rpc.searcher_client import GrpcSearchers
from pixvec.rpc.server import build_server, run_until_signalled
from pixvec.settings import GatewaySettings
from pixvec.telemetry.exposition import serve_metrics
from pixvec.telemetry.logging import configure_logging, get_logger
from services.gateway.blocking import BlockingCalls
from services.gateway.closing import Closing
from services.gateway.collection_service import CollectionService
from services.gateway.collections import Collections
from services.gateway.contents import Contents
from services.gateway.deletions import Deletions
from services.gateway.directory import Directory
from services.gateway.image_service import INGEST_METHOD, ImageService
from services.gateway.ingest_jobs import IngestJobs
from services.gateway.ingest_stream import StreamLimits
from services.gateway.ingests import Ingests
from services.gateway.intake import Intake
from services.gateway.job_service import JobService
from services.gateway.publisher import ChunkPublisher
from services.gateway.queries import Queries
from services.gateway.scatter import Scatter
from services.gateway.search_service import SearchService
from services.gateway.watcher import OutcomeWatcher

SERVICES = (
    "pixvec.api.v1.CollectionService",
    "pixvec.api.v1.ImageService",
    "pixvec.api.v1.JobService",
    "pixvec.api.v1.SearchService",
)
DATABASE_THREADS = 8

log = get_logger(__name__)


async def serve(settings: GatewaySettings, catalogue: Catalogue) -> None:
    """Serve until SIGTERM or SIGINT."""
    sql = BlockingCalls("database", DATABASE_THREADS)
    files = BlockingCalls("files", 8)
    broker = BlockingCalls("broker", 1)
    pushes = BlockingCalls("pushes", 4)

    blobs = FsspecBlobStore(settings.blob_url)
    sources = UriSources(settings.ingest_roots, settings.max_picture_bytes)
    embedder = GrpcEmbedder(settings.embedder_target)
    searchers = GrpcSearchers()
    pusher = GrpcPusher(catalogue.topology)
    queue = CeleryChunkQueue(settings.broker_url)

    closing = Closing()
    directory = Directory(catalogue, sql)
    publisher = ChunkPublisher(queue, catalogue.jobs, broker, sql)
    watcher = OutcomeWatcher(catalogue.jobs, sql)
    intake = Intake(catalogue.jobs, blobs, sources, sql, files, max_open_items=settings.max_open_items)
    limits = StreamLimits(max_picture_bytes=settings.max_picture_bytes)
    ingests = Ingests(directory, catalogue.jobs, intake, publisher, watcher, sql, closing, limits)
    deletions = Deletions(directory, catalogue.feed_writer, pusher, sql, pushes)
    contents = Contents(directory, catalogue.images, blobs, embedder, sql, files)
    queries = Queries(directory, Scatter(directory, searchers), embedder, catalogue.images, sql)
    jobs = IngestJobs(directory, catalogue.jobs, sources, publisher, sql, files)
    collections = Collections(
        catalogue,
        directory,
        embedder,
        sql,
        default_shard_count=settings.default_shard_count,
        replicas=settings.replicas,
    )

    handle = build_server(
        settings.gateway_listen,
        self_checking=frozenset({INGEST_METHOD}),
        reflected=SERVICES if settings.gateway_reflection else (),
    )
    server = handle.server
    collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(CollectionService(collections), server)
    image_service_pb2_grpc.add_ImageServiceServicer_to_server(
        ImageService(ingests, deletions, contents, directory, catalogue.images, sql), server
    )
    job_service_pb2_grpc.add_JobServiceServicer_to_server(JobService(jobs, closing), server)
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(SearchService(queries), server)

    def end_streams() -> None:
        closing.begin()
        watcher.fail_all(closing.error())

    # A background task that dies takes the process with it: it would be of no use without, and is started anew.
    async with asyncio.TaskGroup() as background:
        tasks = [background.create_task(publisher.run()), background.create_task(watcher.run())]
        await handle.start(SERVICES)
        await run_until_signalled(handle, grace_s=settings.gateway_shutdown_grace_s, before_stop=end_streams)
        for task in tasks:
            task.cancel()
    pusher.close()
    await searchers.close()
    await embedder.close()
    for calls in (sql, files, broker, pushes):
        calls.close()
    catalogue.close()


def main() -> None:
    """Wire and run the gateway."""
    settings = GatewaySettings()
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
