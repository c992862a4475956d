"""Pictures that are known again, and duplicates whose original is gone."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from pixvec.catalogue.duplicates import Looks
from pixvec.catalogue.interfaces import ChunkRef
from pixvec.catalogue.memory.state import Chunk, Holding, Item, State, StoredJob, StoredRow
from pixvec.domain import OnDuplicate, OnExisting


def find_originals(holding: Holding, arriving: Iterable[Looks], passing_over: Collection[int] = ()) -> dict[str, str]:
    """Return of which image that can be found each picture is a duplicate, by the picture's image id: of the nearest,
    and of those the oldest. One to which a generation among `passing_over` is on its way will be another picture."""
    searched = [
        (looks_of(image_id, row), row.created_at)
        for image_id, row in holding.images.items()
        if row.live_generation is not None and not any(generation in passing_over for generation in row.pending)
    ]
    found: dict[str, str] = {}
    for looks in arriving:
        near = [
            (bits, created_at, other.image_id)
            for other, created_at in searched
            if other.image_id != looks.image_id and (bits := looks.bits_apart(other)) is not None
        ]
        if near:
            found[looks.image_id] = min(near)[2]
    return found


def looks_of(image_id: str, row: StoredRow) -> Looks:
    """Return what tells a stored picture."""
    return Looks(image_id, row.content_hash, row.perceptual_hash)


def succeed(state: State, collection_id: int, image_ids: Collection[str]) -> list[ChunkRef]:
    """Give the duplicates of those images that are gone, or are another picture now, a new original: that of an image
    which is a duplicate itself now, or else the oldest of them, which is taken in anew. Return the work that makes."""
    holding = state.holdings[collection_id]
    orphans: dict[str, list[tuple[str, StoredRow]]] = defaultdict(list)
    for image_id, row in holding.images.items():
        if row.duplicate_of in image_ids:
            _pass_on(image_id, row, holding)
        if row.duplicate_of in image_ids and _is_orphan(image_id, row, holding):
            orphans[row.duplicate_of].append((image_id, row))
    heirs = []
    for links in orphans.values():
        heir_id, heir = min(links, key=lambda each: (each[1].created_at, each[0]))
        for _, row in links:
            row.duplicate_of = heir_id
        generation = next(state.generations)
        # Before any newer version of its own: that one is to be found in the end.
        heir.duplicate_of, heir.pending, heir.updated_at = "", [generation, *heir.pending], state.now()
        heirs.append((heir_id, heir))
    return [_take_in(state, collection_id, heirs)] if heirs else []


def _pass_on(image_id: str, row: StoredRow, holding: Holding) -> None:
    """Let a duplicate of what is one itself now refer to the same original, if it shows that."""
    between = holding.images.get(row.duplicate_of)
    original = holding.images.get(between.duplicate_of) if between is not None else None
    if between is None or original is None or original.live_generation is None:
        return
    if looks_of(image_id, row).bits_apart(looks_of(between.duplicate_of, original)) is not None:
        row.duplicate_of = between.duplicate_of


def _is_orphan(image_id: str, row: StoredRow, holding: Holding) -> bool:
    original = holding.images.get(row.duplicate_of)
    if original is None:
        return True
    if original.live_generation is None:
        return not original.pending
    return looks_of(image_id, row).bits_apart(looks_of(row.duplicate_of, original)) is None


def _take_in(state: State, collection_id: int, images: Sequence[tuple[str, StoredRow]]) -> ChunkRef:
    items = [
        Item(ordinal, 0, image_id, row.pending[0], row.attributes, row.content_hash, "", indexed=False)
        for ordinal, (image_id, row) in enumerate(sorted(images, key=lambda each: each[0]))
    ]
    job_id, now = str(uuid.uuid4()), state.clock()
    job = StoredJob(job_id, collection_id, OnExisting.REPLACE, "", "", state.now(), now, closed_at=state.now())
    # Only what links makes links: such a one may be a duplicate of what came while there was no original.
    job.on_duplicate = OnDuplicate.LINK
    job.chunks, job.items = [Chunk(items, now)], {item.ordinal: item for item in items}
    state.jobs[job_id] = job
    return ChunkRef(job_id, 0)
