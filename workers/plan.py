"""Lists the pictures under a job's URI prefix and adds them as chunks; begun again, it goes on where it was."""

from pixvec.catalogue.interfaces import ChunkRef, JobStore, NewItem
from pixvec.domain import ItemError
from pixvec.errors import PixvecError, Unavailable
from pixvec.jobs.queue import ChunkQueue
from pixvec.jobs.sources import UriSources, join
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

CHUNK_ITEMS = 64


def plan_job(job_id: str, jobs: JobStore, sources: UriSources, queue: ChunkQueue) -> None:
    """Add the job's items: an ordinal is a picture's place in the sorted list, so that a second run adds none twice.

    A prefix that cannot be listed ends the job as failed. Raises Unavailable when that may pass.
    """
    prefix, last = jobs.planned(job_id)
    try:
        paths = sources.list(prefix)
    except Unavailable:
        raise
    except PixvecError as error:
        jobs.close(job_id, ItemError(error.reason, error.message, error.retryable))
        return
    for first in range(last + 1, len(paths), CHUNK_ITEMS):
        items = [
            NewItem(ordinal, paths[ordinal], {}, uri=join(prefix, paths[ordinal]))
            for ordinal in range(first, min(first + CHUNK_ITEMS, len(paths)))
        ]
        added = jobs.add_items(job_id, items)
        if added.chunk is not None:
            queue.publish([ChunkRef(job_id, added.chunk)])
    jobs.close(job_id)
    log.info("job_planned", job=job_id, items=len(paths))
