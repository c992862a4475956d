"""Several lists of hits into one."""

import heapq
from collections.abc import Sequence
from itertools import islice

import numpy as np

from pixvec.index.interfaces import Ordinals, ShardHits


def merge_hits(parts: Sequence[ShardHits], k: int) -> ShardHits:
    """Return the best k of several lists, each best first: the same as if one shard held everything.

    No image is in two of the lists, as an image lives in one shard. Equal scores are in order of image ids.
    """
    if len(parts) == 1 and len(parts[0].image_ids) <= k:
        return parts[0]
    if any(part.ordinals is not None for part in parts):
        return _merged_rows(parts, k)
    lists = (zip((-part.scores).tolist(), part.image_ids, strict=True) for part in parts)
    best = list(islice(heapq.merge(*lists), k))
    return ShardHits([image_id for _, image_id in best], np.array([-score for score, _ in best], np.float32))


def best_images(
    image_ids: Sequence[str], scores: Sequence[float], k: int, ordinals: Sequence[int] | None = None
) -> ShardHits:
    """Return the best k images, each by its best row, equal ones in order of their ids; `ordinals` says which of its
    image's rows each is, where an image may have several."""
    if ordinals is not None:
        return _best_rows(image_ids, scores, k, ordinals)
    best: dict[str, float] = {}
    for score, image_id in sorted(zip(scores, image_ids, strict=True), key=lambda found: (-found[0], found[1])):
        if image_id not in best:
            best[image_id] = score
            if len(best) == k:
                break
    return ShardHits(list(best), np.fromiter(best.values(), np.float32, len(best)))


def above(hits: ShardHits, min_score: float | None) -> ShardHits:
    """Return the hits of at least `min_score`, compared in float32, as scores are reported."""
    if min_score is None:
        return hits
    kept = int(np.count_nonzero(hits.scores >= np.float32(min_score)))
    return hits if kept == len(hits.scores) else _cut(hits, kept)


def row_ordinals(image_ids: Sequence[str]) -> Ordinals | None:
    """Return for each row, those of one image being neighbours, which of its image's it is; None where each image has
    one."""
    if len(set(image_ids)) == len(image_ids):
        return None
    ordinals = np.zeros(len(image_ids), np.uint32)
    for row in range(1, len(image_ids)):
        if image_ids[row] == image_ids[row - 1]:
            ordinals[row] = ordinals[row - 1] + 1
    return ordinals


def _cut(hits: ShardHits, count: int) -> ShardHits:
    ordinals = None if hits.ordinals is None else hits.ordinals[:count]
    return ShardHits(hits.image_ids[:count], hits.scores[:count], ordinals)


def _merged_rows(parts: Sequence[ShardHits], k: int) -> ShardHits:
    lists = (zip((-part.scores).tolist(), part.image_ids, _all_ordinals(part), strict=True) for part in parts)
    return _ranked_rows(list(islice(heapq.merge(*lists), k)))


def _all_ordinals(hits: ShardHits) -> list[int]:
    return [0] * len(hits.image_ids) if hits.ordinals is None else hits.ordinals.tolist()


def _best_rows(image_ids: Sequence[str], scores: Sequence[float], k: int, ordinals: Sequence[int]) -> ShardHits:
    best: dict[str, tuple[float, str, int]] = {}
    for row in sorted(zip((-score for score in scores), image_ids, ordinals, strict=True)):
        if row[1] not in best:
            best[row[1]] = row
            if len(best) == k:
                break
    return _ranked_rows(list(best.values()))


def _ranked_rows(rows: Sequence[tuple[float, str, int]]) -> ShardHits:
    """Return hits of (negative score, image, ordinal), best first."""
    scores = np.array([-score for score, _, _ in rows], np.float32)
    return ShardHits([image_id for _, image_id, _ in rows], scores, np.array([row[2] for row in rows], np.uint32))
