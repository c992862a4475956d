"""`pixvec topology`: who holds what, and how far each has come."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.client import Client, Topology
from pixvec.client.channel import DEFAULT_ADDRESS
from pixvec.domain import IndexStanding

console = plain_console()


def topology(
    collection: Annotated[str, typer.Argument(help="Default: every collection.")] = "",
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Show shards with those who hold them, how their indexes stand, and searchers with their memory."""
    with Client(address) as client:
        found = client.admin.get_topology(collection)
    if as_json:
        print_json(asdict(found))
        return
    console.print(_shards(found))
    console.print(_indexes(found))
    console.print(_searchers(found))


def _shards(found: Topology) -> Table:
    columns = ("shard", "images", "feed", "searcher", "state", "applied", "snapshot", "finds", "MB")
    table = Table(Column("collection", overflow="fold"), *columns)
    for collection in found.collections:
        for shard in collection.shards:
            feed = f"{shard.truncated_seq:,} to {shard.head_seq:,}"
            name = (collection.collection, str(shard.shard), f"{shard.image_count:,}", feed)
            for held in shard.replicas:
                positions = (f"{held.applied_seq:,}", f"{held.snapshot_seq:,}", f"{held.image_count:,}")
                numbers = (*positions, f"{held.vector_bytes / 1e6:,.1f}")
                table.add_row(*name, held.searcher_id, "ready" if held.ready else "loading", *numbers)
            if not shard.replicas:
                table.add_row(*name, "", "held by nobody", "", "", "", "")
    return table


def _indexes(found: Topology) -> Table:
    table = Table(
        Column("collection", overflow="fold"), "shard", "searcher", "segments", "kinds", "sealed", "growing", "note"
    )
    for collection in found.collections:
        for shard in collection.shards:
            for held in shard.replicas:
                table.add_row(collection.collection, str(shard.shard), held.searcher_id, *_index(held.index))
    return table


def _index(standing: IndexStanding | None) -> tuple[str, ...]:
    if standing is None:
        return ("", "", "", "", "does not answer")
    notes = ["writes are pushed back"] if standing.writes_pushed_back else []
    notes += [f"the last build failed: {standing.build_error}"] if standing.build_error else []
    rows = (f"{standing.sealed_rows:,}", f"{standing.growing_rows:,}")
    return (str(standing.segment_count), ", ".join(standing.kinds), *rows, "; ".join(notes))


def _searchers(found: Topology) -> Table:
    table = Table("searcher", Column("address", overflow="fold"), "state", "shards", "memory, MB")
    for each in found.searchers:
        state = "live" if each.reachable else "does not answer" if each.live else "gone"
        memory = f"{each.memory_bytes / 1e6:,.0f}" if each.reachable else ""
        table.add_row(each.searcher_id, each.address, state, str(each.shard_count), memory)
    return table
