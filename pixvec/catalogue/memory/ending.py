"""How items end, what that does to their images, and when that ends their job."""

import datetime as dt

from pixvec.catalogue.memory.state import Holding, Item, State, StoredJob
from pixvec.domain import ItemError, ShardPosition


def fail_item(state: State, holding: Holding, item: Item, error: ItemError) -> None:
    """End an open item as failed. Its image has failed when no version can be found and no other is on its way."""
    item.error = error
    image = holding.images.get(item.image_id)
    if image is None or item.generation not in image.pending:
        return
    image.updated_at = state.now()
    image.pending.remove(item.generation)
    if image.live_generation is None and not image.pending and not image.duplicate_of:
        image.error = error


def index_item(item: Item, position: ShardPosition | None, duplicate_of: str = "") -> None:
    """End an open item as indexed: found at a position, or overtaken without one, or linked to its original."""
    item.indexed, item.position, item.attributes, item.duplicate_of = True, position, {}, duplicate_of


def finish_chunk(state: State, job: StoredJob, number: int) -> None:
    """Free the chunk's lease if its last item has ended."""
    chunk = job.chunks[number]
    if not chunk.open_items and chunk.ended_at is None:
        chunk.ended_at, chunk.owner = state.now(), None


def has_ended(job: StoredJob) -> bool:
    """Return whether the job is closed and every item of it has ended."""
    return job.closed_at is not None and not any(chunk.open_items for chunk in job.chunks)


def ended_at(job: StoredJob) -> dt.datetime | None:
    """Return when the job ended, None while it has not."""
    if job.closed_at is None or not has_ended(job):
        return None
    return max([job.closed_at, *(chunk.ended_at for chunk in job.chunks if chunk.ended_at is not None)])
