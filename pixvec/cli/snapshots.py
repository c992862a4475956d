"""`pixvec snapshot …`: backups of the index in the blob store."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.client import Client, ShardSnapshot
from pixvec.client.channel import DEFAULT_ADDRESS

app = typer.Typer(no_args_is_help=True, help="Back collections up into the blob store, and restore them from there.")
console = plain_console()


@app.command("create")
def create(collection: str, address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """Back a collection's index up, and read every byte back. Exit code 1 when a shard could not be."""
    with Client(address) as client:
        shards = client.admin.create_snapshot(collection)
    if as_json:
        print_json([asdict(each) for each in shards])
    else:
        for each in shards:
            console.print(_told(each))
    if any(each.error for each in shards):
        raise typer.Exit(1)


@app.command("list")
def list_all(
    collection: Annotated[str, typer.Argument(help="Default: every collection.")] = "",
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """List snapshots, the newest first: two a shard are kept."""
    with Client(address) as client:
        found = client.admin.list_snapshots(collection)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    columns = ("shard", "images", "MB", "position", "created (UTC)", Column("state", overflow="fold"))
    table = Table(Column("snapshot", no_wrap=True), Column("collection", overflow="fold"), *columns)
    for each in found:
        numbers = (str(each.shard), f"{each.image_count:,}", f"{each.size_bytes / 1e6:,.1f}", f"{each.seq:,}")
        created = f"{each.created_at:%Y-%m-%d %H:%M}"
        state = "verified" if each.verified else f"damaged: {each.damage}"
        table.add_row(each.snapshot_id, each.collection, *numbers, created, state)
    console.print(table)


@app.command("restore")
def restore(
    collection: str,
    snapshot: Annotated[
        list[str] | None, typer.Option(help="A snapshot's id; may be given once a shard. Default: the newest.")
    ] = None,
    from_feed: Annotated[bool, typer.Option(help="Use no snapshot: for a change feed that is whole.")] = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Have every searcher load a collection's index anew. Until they have, searches fail or are partial."""
    with Client(address) as client:
        shards = client.admin.restore_collection(collection, snapshot_ids=snapshot or (), from_feed=from_feed)
    if as_json:
        print_json([asdict(each) for each in shards])
        return
    for each in shards:
        begin = f"snapshot {each.snapshot_id} at {each.snapshot_seq:,}, then " if each.snapshot_id else ""
        console.print(f"Shard {each.shard}: {begin}the feed to {each.head_seq:,}.")
    console.print("The searchers load it now: see `pixvec topology`.")


def _told(each: ShardSnapshot) -> str:
    if each.snapshot is None:
        return f"Shard {each.shard}: failed: {each.error.message if each.error else 'no answer'}"
    made = each.snapshot
    size = f"{made.image_count:,} images, {made.size_bytes / 1e6:,.1f} MB, {each.stored_bytes / 1e6:,.1f} of them new"
    return f"Shard {each.shard}: snapshot {made.snapshot_id} at {made.seq:,}: {size}, verified."
