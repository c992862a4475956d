"""`pixvec duplicates`: find copies of a picture, whole or in part."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.cli.contact_sheet import show_contact_sheet
from pixvec.cli.hits import print_hits
from pixvec.client import Client
from pixvec.client.channel import DEFAULT_ADDRESS

console = plain_console()


def duplicates(
    collection: str,
    picture: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="A picture, or a part.")] = None,
    like: Annotated[str | None, typer.Option(help="An image of the collection in place of a picture.")] = None,
    limit: int = 10,
    min_score: Annotated[float | None, typer.Option(help="Leave out similar pictures below this score.")] = None,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show the hits in a browser.")] = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Find copies of a picture: the same bytes, and what was resized, re-compressed, cut out or turned."""
    if (picture is None) == (like is None):
        raise typer.BadParameter("give a picture, or --like ID")
    with Client(address) as client:
        found = client.find_duplicates(collection, image=picture, image_id=like, limit=limit, min_score=min_score)
        if as_json:
            print_json(asdict(found))
            return
        print_hits(console, found)
        missing = "; some could not be, and count as similar" if found.matches_missing else ""
        console.print(f"{found.compared} pictures were compared with it{missing}.")
        if open_sheet:
            shown = picture.read_bytes() if picture else client.get_content(collection, like or "")
            console.print(f"Contact sheet: {show_contact_sheet(client, collection, shown, found)}")
