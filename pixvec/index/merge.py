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
