"""The searcher process: settings, logging, metrics, catalogue, shards, server; it serves until it is told to stop."""

import asyncio
import functools
import os
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop

from pixvec.blobs.store import FsspecBlobStore
from pixvec.catalogue import postgres
from pixvec.catalogue.interfaces import Catalogue
from pixvec.errors import PixvecError
from pixvec.index.plan import BuildPolicy
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.machine import core_count, memory_bytes
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.server import ServerHandle, build_server, run_until_signalled
from pixvec.settings import SearcherSettings, read_settings
from pixvec.telemetry.exposition import serve_metrics
from pixvec.telemetry.logging import configure_logging, get_logger
from services.searcher.base_maker import BaseMaker
from services.searcher.bootstrap import Bootstrap
from services.searcher.builder_process import BuilderProcess
from services.searcher.catch_up import CatchUp
from services.searcher.compaction import Compaction
from services.searcher.data_folder import DataFolder
from services.searcher.follower import Follower
from services.searcher.freshness import Freshness
from services.searcher.gpus import Gpus, open_gpus
from services.searcher.recall import RecallProbe
from services.searcher.search import Searches
from services.searcher.search_queue import SearchQueue
from services.searcher.servicer import SearcherService
from services.searcher.shard_host import ShardHost
from services.searcher.snapshots import Snapshots

SERVICES = ("pixvec.internal.v1.SearcherService",)
# One for the poll, two for pages of the feed.
DATABASE_CONNECTIONS = 3
# Searches beyond this wait longer than their callers would.
MAX_WAITING_SEARCHES = 512
# A push beyond this is left to the feed, which is read in larger steps.
MAX_WAITING_PUSHES = 32
# Searches, those that wait for a shard to catch up, and pushes.
MAX_CONCURRENT_CALLS = 1024
COMPACTION_INTERVAL_S = 1.0
GPU_INTERVAL_S = 1.0
# How long the end of the process waits for the end of a file that is being sent.
LAST_TRANSFER_S = 5.0

log = get_logger(__name__)


async def serve(settings: SearcherSettings, catalogue: Catalogue, data: DataFolder) -> None:
    """Serve until SIGTERM or SIGINT, then write what has changed to the disk."""
    searching = SearchQueue(settings.searcher_threads or core_count(), MAX_WAITING_SEARCHES)
    fetching = BlockingCalls("vectors", 1, max_waiting=MAX_WAITING_SEARCHES)
    applying = BlockingCalls("applies", 2, max_waiting=MAX_WAITING_PUSHES)
    # Of their own: there is one a shard at most, and pushes that wait are not to keep a shard from catching up.
    catching_up = BlockingCalls("pages", 2)
    polling = BlockingCalls("poll", 1)
    reading = BlockingCalls("feed", DATABASE_CONNECTIONS - 1)
    disk = BlockingCalls("disk", 1)
    building = BlockingCalls("builds", 1)
    transfers = BlockingCalls("transfers", 2)
    blobs = FsspecBlobStore(settings.blob_url) if settings.blob_url else None

    handle = build_server(settings.searcher_listen, max_concurrent_calls=MAX_CONCURRENT_CALLS)
    memory = settings.searcher_memory_bytes or memory_bytes()
    host = ShardHost(
        max_growing_bytes=settings.searcher_growing_bytes,
        max_all_growing_bytes=settings.searcher_all_growing_bytes or memory // 4,
    )
    snapshots = Snapshots(host, data, disk)
    bootstrap = Bootstrap(snapshots, catalogue.bases, blobs, reading, transfers)
    catch_up = CatchUp(host, catalogue.feed_reader, snapshots, bootstrap, reading, catching_up)
    follower = Follower(
        host,
        catalogue.topology,
        catch_up,
        snapshots,
        polling,
        searcher_id=settings.searcher_id,
        address=lambda: settings.searcher_address or handle.address,
        poll_s=settings.searcher_poll_s,
        lease_s=settings.searcher_lease_s,
    )
    builder = BuilderProcess(settings.searcher_build_threads or core_count())
    index_bytes = settings.searcher_index_bytes or memory // 2
    compaction = Compaction(
        host,
        data,
        snapshots,
        building,
        builder,
        lambda: BuildPolicy(settings.searcher_seal_rows, budget_bytes=index_bytes // max(1, len(host))),
    )
    gpus = Gpus(
        host,
        BlockingCalls("gpus", 1),
        functools.partial(open_gpus, settings.searcher_gpu_bytes, settings.searcher_gpus),
    )
    recall = RecallProbe(settings.searcher_recall_share)
    freshness = Freshness(host, follower)
    searches = Searches(host, freshness, searching, fetching, recall)

    base_maker = BaseMaker(host, freshness, snapshots, catalogue.bases, blobs, reading, transfers)
    servicer = SearcherService(settings.searcher_id, host, searches, follower, snapshots, applying, base_maker)
    searcher_service_pb2_grpc.add_SearcherServiceServicer_to_server(servicer, handle.server)

    await handle.start(SERVICES)
    try:
        await _until_signalled(
            handle,
            settings.searcher_shutdown_grace_s,
            follower.run(),
            snapshots.run(settings.searcher_snapshot_interval_s),
            compaction.run(COMPACTION_INTERVAL_S),
            gpus.run(GPU_INTERVAL_S),
        )
    finally:
        # First of all: the thread that waits for a build would keep the process for the rest of it.
        builder.close()
        # Where a background task has died nobody has told it yet.
        await handle.stop(0)
        bootstrap.close()
        await base_maker.close(LAST_TRANSFER_S)
        await snapshots.write_changed()
        transfers.close(wait=False)
        for calls in (searching, recall, fetching, applying, catching_up, polling, reading, building, disk, gpus):
            calls.close()


async def _until_signalled(handle: ServerHandle, grace_s: float, *background: Coroutine[Any, Any, None]) -> None:
    """Serve until a signal. A background task that dies takes the process with it: it would be of no use without, and
    is started anew."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in background]
        await run_until_signalled(handle, grace_s=grace_s)
        for task in tasks:
            task.cancel()


def main() -> None:
    """Wire and run a searcher."""
    # Read by OpenMP when FAISS is loaded: threads of its own that spin would take the cores from searches.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    settings = read_settings(SearcherSettings)
    configure_logging("searcher", level=settings.log_level, json=settings.log_json)
    data = DataFolder(settings.searcher_data)
    try:
        data.claim()
        serve_metrics(settings.metrics_host, settings.metrics_port)
        catalogue = postgres.connect(settings.database_url, pool_size=DATABASE_CONNECTIONS)
        uvloop.run(serve(settings, catalogue, data))
        catalogue.close()
    except (PixvecError, OSError) as error:
        log.error("searcher_failed", error=str(error))
        sys.exit(1)
    except ExceptionGroup as error:
        # Of the background tasks: what nobody has thought of, so that its trace is worth reading.
        log.error("searcher_failed", error=str(error.exceptions[0]), exc_info=error)
        sys.exit(1)


if __name__ == "__main__":
    main()
