"""The commands about collections: create, list, show, update, delete."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.cli.region_options import (
    BackgroundOut,
    ClassAgnostic,
    Detector,
    Embedding,
    FurtherSpaces,
    MaxRegions,
    MinAreaShare,
    MinScore,
    further_spaces,
    region_settings,
)
from pixvec.client import Client
from pixvec.client.channel import DEFAULT_ADDRESS
from pixvec.domain import IndexKind, IndexSettings, VectorStorage

app = typer.Typer(no_args_is_help=True, help="Create, list, show, change and delete collections.")
console = plain_console()

Kind = Annotated[IndexKind | None, typer.Option("--index", help="How vectors are searched; default: auto.")]
Storage = Annotated[VectorStorage | None, typer.Option(help="How vectors are kept; default: float16.")]
HnswM = Annotated[int | None, typer.Option(help="Links of a vector (hnsw); 0: the default.")]
EfConstruction = Annotated[int | None, typer.Option(help="Candidates while building (hnsw); 0: the default.")]
Nlist = Annotated[int | None, typer.Option(help="Lists of a segment (ivf); 0: the default.")]


@app.command("create")
def create(
    name: str,
    model: str = "auto",
    shards: int | None = None,
    kind: Kind = None,
    storage: Storage = None,
    hnsw_m: HnswM = None,
    ef_construction: EfConstruction = None,
    nlist: Nlist = None,
    space: FurtherSpaces = None,
    detector: Detector = None,
    embedding: Embedding = None,
    class_agnostic: ClassAgnostic = False,
    min_score: MinScore = None,
    max_regions: MaxRegions = None,
    min_area_share: MinAreaShare = None,
    background_out: BackgroundOut = False,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Create a collection."""
    options = {
        "embedding": embedding,
        "class_agnostic": class_agnostic,
        "min_score": min_score,
        "max_regions": max_regions,
        "min_area_share": min_area_share,
        "background_out": background_out,
    }
    regions, spaces = region_settings(detector, options), further_spaces(space)
    index = IndexSettings(
        kind or IndexKind.AUTO, storage or VectorStorage.FLOAT16, hnsw_m or 0, ef_construction or 0, nlist or 0
    )
    with Client(address) as client:
        made = client.create_collection(name, model=model, shards=shards, index=index, regions=regions, spaces=spaces)
    first, *others = made.spaces
    console.print(f"Created {made.name}: model {first.model}, {first.dim} dimensions, {made.shard_count} shards.")
    for each in others:
        console.print(f"Space {each.name}: {each.model}, {each.dim} dimensions, one vector for each {each.kind}.")
    if made.model_choice:
        console.print(made.model_choice)


@app.command("list")
def list_all(address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """List collections."""
    with Client(address) as client:
        found = list(client.list_collections())
    if as_json:
        print_json([asdict(each) for each in found])
        return
    table = Table(Column("collection", overflow="fold"), "images", "model", "dimensions", "shards")
    for each in found:
        space = each.spaces[0]
        table.add_row(each.name, f"{each.image_count:,}", space.model, str(space.dim), str(each.shard_count))
    console.print(table)


@app.command("show")
def show(name: str, address: Address = DEFAULT_ADDRESS) -> None:
    """Show one collection as JSON."""
    with Client(address) as client:
        print_json(asdict(client.get_collection(name)), indent=2)


@app.command("update")
def update(
    name: str,
    kind: Kind = None,
    storage: Storage = None,
    hnsw_m: HnswM = None,
    ef_construction: EfConstruction = None,
    nlist: Nlist = None,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Index a collection otherwise: what is given changes. Searches go on while it is indexed again."""
    with Client(address) as client:
        changed = client.update_collection(
            name, kind=kind, storage=storage, hnsw_m=hnsw_m, ef_construction=ef_construction, nlist=nlist
        )
    for space in changed.spaces:
        console.print(f"{changed.name}, space {space.name}: {_told(space.index)}.")


@app.command("delete")
def delete(name: str, address: Address = DEFAULT_ADDRESS) -> None:
    """Delete a collection with all its images."""
    with Client(address) as client:
        client.delete_collection(name)
    console.print(f"Deleted {name}.")


def _told(index: IndexSettings) -> str:
    numbers = {"hnsw_m": index.hnsw_m, "ef_construction": index.ef_construction, "nlist": index.nlist}
    given = [f"{name} {number}" for name, number in numbers.items() if number]
    return ", ".join([f"index {index.kind}", f"vectors as {index.storage}", *given])
