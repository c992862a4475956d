"""Rendezvous hashing: which searchers hold a shard, moving as little as possible when searchers come and go.

Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous" (1996).
"""

from collections.abc import Iterable
from typing import NamedTuple

import xxhash


def holders_of(collection_id: int, shard: int, searcher_ids: Iterable[str], replicas: int) -> tuple[str, ...]:
    """Return the `replicas` searchers that are to hold this shard, the first choice first; all where there are fewer.

    A searcher that leaves moves only the shards it held, and one that comes takes only what it will hold.
    """
    ranked = sorted(searcher_ids, key=lambda searcher_id: (_weight(collection_id, shard, searcher_id), searcher_id))
    return tuple(reversed(ranked[-replicas:])) if replicas > 0 else ()


def _weight(collection_id: int, shard: int, searcher_id: str) -> int:
    return int(xxhash.xxh64_intdigest(f"{collection_id}/{shard}/{searcher_id}".encode()))


class Placed(NamedTuple):
    """A shard that a searcher holds, or is about to."""

    collection_id: int
    shard: int
    searcher_id: str
    ready: bool


class Moves(NamedTuple):
    """Placements to add and to remove, each (collection id, shard, searcher)."""

    added: list[tuple[int, int, str]]
    removed: list[tuple[int, int, str]]


def plan_moves(
    shards: Iterable[tuple[int, int]],
    placed: Iterable[Placed],
    live: Iterable[str],
    replicas: int,
    missed: Iterable[str] = (),
) -> Moves:
    """Plan what brings every shard to its holders. A live holder that is to give a shard up keeps it until every new
    one is ready and live. With no searcher live everything stays where it is.

    Searchers that are `missed` may come back: they keep what they hold, nobody takes it over, and they get nothing new.
    """
    searchers = set(live)
    holders: dict[tuple[int, int], dict[str, bool]] = {}
    for collection_id, shard, searcher_id, ready in placed:
        holders.setdefault((collection_id, shard), {})[searcher_id] = ready
    awaited = {searcher_id for held in holders.values() for searcher_id in held}.intersection(missed) - searchers
    moves = Moves([], [])
    for collection_id, shard in shards if searchers else ():
        current = holders.get((collection_id, shard), {})
        # A shard that nobody holds waits for nobody.
        wanted = holders_of(collection_id, shard, searchers | awaited if current else searchers, replicas)
        settled = all(current.get(each, False) and each in searchers for each in wanted)
        moves.added.extend((collection_id, shard, each) for each in wanted if each not in {*current, *awaited})
        surplus = (each for each in current if each not in {*wanted, *awaited})
        gone = (each for each in surplus if settled or each not in searchers)
        moves.removed.extend((collection_id, shard, each) for each in gone)
    return moves
