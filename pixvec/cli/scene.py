"""`pixvec scene`: find each object of a picture, and the pictures that hold all of them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.cli.hits import print_scene
from pixvec.cli.scene_sheet import show_scene_sheet
from pixvec.client import Client
from pixvec.client.channel import DEFAULT_ADDRESS

console = plain_console()


def scene(
    collection: str,
    picture: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="A picture of objects.")] = None,
    like: Annotated[str | None, typer.Option(help="An image of the collection in place of a picture.")] = None,
    max_objects: Annotated[int, typer.Option(help="Objects that are searched for, those detected best.")] = 10,
    limit: Annotated[int, typer.Option(help="Hits of each object, and pictures that hold all.")] = 10,
    min_score: float | None = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare every vector.")] = False,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show the hits in a browser.")] = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Find each object of a picture by itself, and the pictures that hold all of them."""
    if (picture is None) == (like is None):
        raise typer.BadParameter("give a picture, or --like ID")
    with Client(address) as client:
        found = client.search_scene(
            collection,
            image=picture,
            image_id=like,
            max_objects=max_objects,
            limit=limit,
            min_score=min_score,
            exact=exact,
        )
        if as_json:
            print_json(asdict(found))
            return
        print_scene(console, found)
        if open_sheet:
            shown = picture.read_bytes() if picture else client.get_content(collection, like or "")
            console.print(f"Contact sheet: {show_scene_sheet(client, collection, shown, found)}")
