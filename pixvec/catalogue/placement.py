"""Rendezvous hashing: which searchers hold a shard, moving as little as possible when searchers come and go.

Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous" (1996).
"""

from collections.abc import Iterable

import xxhash


def holders_of(collection_id: int, shard: int, searcher_ids: Iterable[str], replicas: int) -> tuple[str, ...]:
    """Return the `replicas` searchers that are to hold this shard, the first choice first; all where there are fewer.

    A searcher that leaves moves only the shards it held, and one that comes takes only what it will hold.
    """
    ranked = sorted(searcher_ids, key=lambda searcher_id: (_weight(collection_id, shard, searcher_id), searcher_id))
    return tuple(reversed(ranked[-replicas:])) if replicas > 0 else ()


def _weight(collection_id: int, shard: int, searcher_id: str) -> int:
    return int(xxhash.xxh64_intdigest(f"{collection_id}/{shard}/{searcher_id}".encode()))
