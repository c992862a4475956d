"""`pixvec search`: find pictures by a picture, by a text, or by both."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.cli.contact_sheet import show_contact_sheet
from pixvec.cli.hits import print_hits
from pixvec.client import Client, Part
from pixvec.client.channel import DEFAULT_ADDRESS

console = plain_console()


def search(
    collection: str,
    picture: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="A picture to search by.")] = None,
    like: Annotated[str | None, typer.Option(help="Search by an image of the collection.")] = None,
    text: Annotated[str | None, typer.Option(help="Search by what a text says; with a picture, by both.")] = None,
    text_weight: Annotated[float, typer.Option(help="What the text counts beside the picture's 1.")] = 1.0,
    space: Annotated[str, typer.Option(help="The space to search in; default: the first that fits.")] = "",
    limit: int = 10,
    min_score: float | None = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare every vector.")] = False,
    ef: Annotated[int, typer.Option(help="Candidates kept in a graph; 0: the default.")] = 0,
    nprobe: Annotated[int, typer.Option(help="Inverted lists looked through; 0: the default.")] = 0,
    rescore: Annotated[
        float, typer.Option(help="Candidates compared again, times the limit; 0: the default, -1: none.")
    ] = 0.0,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show the hits in a browser.")] = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Find pictures by a picture, by a text, or by both."""
    query = _query(picture, like, text, text_weight)
    with Client(address) as client:
        result = client.search(
            collection,
            space=space,
            limit=limit,
            min_score=min_score,
            exact=exact,
            ef=ef,
            nprobe=nprobe,
            rescore=rescore,
            **query,
        )
        if as_json:
            print_json({"hits": [asdict(hit) for hit in result], "timings": asdict(result.timings)})
            return
        print_hits(console, result)
        if open_sheet:
            shown = picture.read_bytes() if picture else client.get_content(collection, like) if like else None
            console.print(f"Contact sheet: {show_contact_sheet(client, collection, shown, result, text or '')}")


def _query(picture: Path | None, like: str | None, text: str | None, text_weight: float) -> dict[str, Any]:
    """Return what is searched by, as `Client.search` takes it."""
    if (picture is not None and like is not None) or (picture is None and like is None and text is None):
        raise typer.BadParameter("give a picture, or --like ID, or --text TEXT; or one of the first two with a text")
    if text is None:
        return {"image": picture, "image_id": like}
    if picture is None and like is None:
        return {"text": text}
    return {"combine": [Part(image=picture, image_id=like), Part(text=text, weight=text_weight)]}
