"""Writing placements: shared by the topology and by the creation of collections."""

from sqlalchemy import Connection, text

from pixvec.catalogue.placement import holders_of

_TOUCH = "UPDATE routing SET version = version + 1"
_LIVE = "SELECT searcher_id FROM searchers WHERE lease_expires > now()"
_MISSED = """
SELECT searcher_id FROM searchers
WHERE lease_expires <= now() AND extract(epoch FROM now() - lease_expires) < CAST(:grace_s AS float8)
"""
_INSERT = """
INSERT INTO placements (collection_id, shard, searcher_id)
SELECT * FROM unnest(CAST(:collections AS bigint[]), CAST(:shards AS integer[]), CAST(:searchers AS text[]))
ON CONFLICT DO NOTHING
"""
Holder = tuple[int, int, str]


def touch_routing(connection: Connection) -> None:
    """Count a change of the routing: the last thing a transaction does, as all such changes wait for this row."""
    connection.execute(text(_TOUCH))


def live_searchers(connection: Connection) -> list[str]:
    """Return the searchers whose lease runs."""
    return list(connection.execute(text(_LIVE)).scalars())


def missed_searchers(connection: Connection, grace_s: float) -> list[str]:
    """Return the searchers whose lease ran out less than `grace_s` seconds ago."""
    return list(connection.execute(text(_MISSED), {"grace_s": grace_s}).scalars())


def add_placements(connection: Connection, holders: list[Holder]) -> None:
    """Place shards, given as (collection id, shard, searcher)."""
    collections, shards, searchers = ([holder[part] for holder in holders] for part in range(3))
    connection.execute(text(_INSERT), {"collections": collections, "shards": shards, "searchers": searchers})


def place_shards(connection: Connection, collection_id: int, shard_count: int, replicas: int) -> None:
    """Place the shards of a new collection on the live searchers, if there are any."""
    live = live_searchers(connection)
    holders = [
        (collection_id, shard, searcher_id)
        for shard in range(shard_count)
        for searcher_id in holders_of(collection_id, shard, live, replicas)
    ]
    if holders:
        add_placements(connection, holders)
    touch_routing(connection)
