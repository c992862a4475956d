"""Several lists of hits into one."""

import heapq
from collections.abc import Sequence
from itertools import islice

import numpy as np

from pixvec.index.interfaces import ShardHits


def merge_hits(parts: Sequence[ShardHits], k: int) -> ShardHits:
    """Return the best k of several lists, each best first: the same as if one shard held everything.

    No image is in two of the lists, as an image lives in one shard. Equal scores are in order of image ids.
    """
    if len(parts) == 1 and len(parts[0].image_ids) <= k:
        return parts[0]
    lists = (zip((-part.scores).tolist(), part.image_ids, strict=True) for part in parts)
    best = list(islice(heapq.merge(*lists), k))
    return ShardHits([image_id for _, image_id in best], np.array([-score for score, _ in best], np.float32))


def best_images(image_ids: Sequence[str], scores: Sequence[float], k: int) -> ShardHits:
    """Return the best k images, each by its best row, equal ones in order of their ids."""
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
    return hits if kept == len(hits.scores) else ShardHits(hits.image_ids[:kept], hits.scores[:kept])
