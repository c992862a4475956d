"""Accepting items: each is decided on, its image gets a new generation, and the whole becomes one chunk."""

from collections.abc import Sequence

from pixvec.catalogue.acceptance import MAX_PENDING, Decision, Policy, Verdict, candidates, decide, screen
from pixvec.catalogue.duplicates import Looks
from pixvec.catalogue.interfaces import NewItem
from pixvec.catalogue.memory.duplicates import find_originals
from pixvec.catalogue.memory.state import Chunk, Holding, Item, State, StoredJob, StoredRow
from pixvec.catalogue.sharding import shard_of
from pixvec.domain import OnDuplicate, ShardPosition


def accept(state: State, job: StoredJob, items: Sequence[NewItem]) -> int | None:
    """Store items as one new chunk. Return its number, None when none of them needs work."""
    holding = state.holding(job.collection_id)
    sound, refused = screen(items)
    stored = {
        item.image_id: holding.images[item.image_id].as_stored() for item in sound if item.image_id in holding.images
    }
    number = len(job.chunks)
    originals = _originals(holding, job, sound)
    policy = Policy(job.on_existing, job.on_duplicate)
    decisions = [*decide(sound, stored, policy, originals), *refused]
    made = [_make_item(state, holding, decision, number) for decision in decisions]
    chunk = Chunk(made, state.clock())
    job.chunks.append(chunk)
    job.items |= {item.ordinal: item for item in made}
    job.active_at = state.clock()
    if not chunk.open_items:
        chunk.ended_at = state.now()
        return None
    return number


def _originals(holding: Holding, job: StoredJob, items: Sequence[NewItem]) -> dict[str, str]:
    if job.on_duplicate is OnDuplicate.KEEP:
        return {}
    chosen = candidates(items, job.on_existing).values()
    return find_originals(holding, [Looks(item.image_id, item.content_hash) for item in chosen])


def _make_item(state: State, holding: Holding, decision: Decision, chunk: int) -> Item:
    given, verdict = decision.item, decision.verdict
    work = verdict is Verdict.WORK
    if verdict is Verdict.LINKED:
        _link(state, holding, given, decision.duplicate_of)
    return Item(
        ordinal=given.ordinal,
        chunk=chunk,
        image_id=given.image_id,
        generation=_renew(state, holding, given) if work else 0,
        attributes=dict(given.attributes) if work else {},
        content_hash=given.content_hash,
        uri=given.uri,
        indexed=verdict in (Verdict.UNCHANGED, Verdict.SUPERSEDED, Verdict.LINKED),
        unchanged=verdict is Verdict.UNCHANGED,
        error=decision.error,
        position=_position(holding, given.image_id) if verdict is Verdict.UNCHANGED else None,
        duplicate_of=decision.duplicate_of,
    )


def _renew(state: State, holding: Holding, item: NewItem) -> int:
    """Give the image a new generation. One that cannot be found, not by its original either, takes on what
    is now on its way."""
    generation, now = next(state.generations), state.now()
    image = holding.images.get(item.image_id)
    if image is None:
        given = (item.content_hash, item.size_bytes, dict(item.attributes))
        holding.images[item.image_id] = StoredRow([generation], *given, created_at=now, updated_at=now)
        return generation
    image.pending = [*image.pending, generation][-MAX_PENDING:]
    image.updated_at, image.error = now, None
    if image.live_generation is None and not image.duplicate_of:
        image.content_hash, image.size_bytes, image.attributes = item.content_hash, item.size_bytes, item.attributes
    return generation


def _link(state: State, holding: Holding, item: NewItem, original_id: str) -> None:
    """Let an image that cannot be found refer to another, whose bytes it has."""
    original, now = holding.images[original_id], state.now()
    given = (item.content_hash, item.size_bytes, dict(item.attributes))
    image = holding.images.setdefault(item.image_id, StoredRow([], *given, created_at=now, updated_at=now))
    image.content_hash, image.size_bytes, image.attributes = given
    image.format, image.width, image.height = original.format, original.width, original.height
    image.perceptual_hash, image.duplicate_of = original.perceptual_hash, original_id
    image.updated_at, image.error = now, None


def _position(holding: Holding, image_id: str) -> ShardPosition | None:
    number = shard_of(image_id, len(holding.shards))
    shard = holding.shards[number]
    row = shard.feed.get(image_id)
    if row is None and shard.truncated_seq and holding.images[image_id].live_generation is not None:
        # Its row went when the feed was truncated: whoever follows the feed stands there or beyond.
        return ShardPosition(number, shard.epoch, shard.truncated_seq)
    return None if row is None or row.deleted else ShardPosition(number, shard.epoch, row.seq)
