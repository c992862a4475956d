"""Lists the pictures under a job's URI prefix and adds them as chunks; begun again, it goes on where it was."""

from collections.abc import Callable, Sequence

from pixvec.catalogue.interfaces import ChunkRef, JobStore, NewItem
from pixvec.domain import ItemError, JobState
from pixvec.errors import CollectionNotFound, FailedPrecondition, PixvecError, Unavailable
from pixvec.jobs.queue import ITEMS_PER_CHUNK, ChunkQueue
from pixvec.jobs.sources import UriSources, image_id, join
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)


def plan_job(
    job_id: str,
    jobs: JobStore,
    sources: UriSources,
    queue: ChunkQueue,
    is_to_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Add the job's items: an ordinal is a picture's place in the sorted list, so that a second run adds none twice.
    Once `is_to_stop` says so, leave the rest to whoever takes the next message.

    A prefix that cannot be listed ends the job as failed. A job that is planned already, or whose collection is gone,
    is left as it is. Raises JobNotFound, and Unavailable when trying again may help.
    """
    # A message may come twice, and listing may take long.
    if jobs.get(job_id).state is not JobState.PLANNING:
        return
    prefix, last = jobs.planned(job_id)
    try:
        paths = sources.list(prefix)
    except Unavailable:
        raise
    except PixvecError as error:
        jobs.close(job_id, ItemError(error.reason, error.message, error.retryable))
        return
    try:
        for first in range(last + 1, len(paths), ITEMS_PER_CHUNK):
            if is_to_stop():
                queue.publish_plan(job_id)
                return
            _add_chunk(job_id, first, prefix, paths, jobs, queue)
    except (FailedPrecondition, CollectionNotFound) as error:
        # Another planner was quicker, or the collection was deleted.
        log.info("job_closed_meanwhile", job=job_id, error=error.message)
        return
    jobs.close(job_id)
    log.info("job_planned", job=job_id, items=len(paths))


def _add_chunk(job_id: str, first: int, prefix: str, paths: Sequence[str], jobs: JobStore, queue: ChunkQueue) -> None:
    items = [
        NewItem(ordinal, image_id(prefix, path), {}, uri=join(prefix, path))
        for ordinal, path in enumerate(paths[first : first + ITEMS_PER_CHUNK], start=first)
    ]
    added = jobs.add_items(job_id, items)
    if added.chunk is not None:
        queue.publish([ChunkRef(job_id, added.chunk)])
