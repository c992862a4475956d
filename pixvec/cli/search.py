"""`pixvec search`: find pictures by a picture or a part of one, by a text, or by both."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.cli.contact_sheet import draw_regions, show_contact_sheet
from pixvec.cli.hits import print_hits
from pixvec.cli.sheet_page import Drawing, box_outline
from pixvec.client import Client, FusionMethod, Part, SearchResult
from pixvec.client.channel import DEFAULT_ADDRESS
from pixvec.domain import Box

console = plain_console()


def search(
    collection: str,
    picture: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="A picture to search by.")] = None,
    like: Annotated[str | None, typer.Option(help="Search by an image of the collection.")] = None,
    region: Annotated[str | None, typer.Option(help="Search by a region of an image, as hits name them.")] = None,
    box: Annotated[str | None, typer.Option(help="Search by this part of the picture: x1,y1,x2,y2 in pixels.")] = None,
    text: Annotated[str | None, typer.Option(help="Search by what a text says; with a picture, by both.")] = None,
    text_weight: Annotated[float, typer.Option(help="What the text counts beside the picture's 1.")] = 1.0,
    space: Annotated[str, typer.Option(help="The space to search in; default: the first that fits.")] = "",
    fuse: Annotated[
        list[str] | None,
        typer.Option(metavar="SPACE[=WEIGHT]", help="Search this space and the others so named; all scores are told."),
    ] = None,
    fuse_method: Annotated[
        FusionMethod, typer.Option(help="Whether ranks in the spaces count, or scores.")
    ] = FusionMethod.RRF,
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
    """Find pictures by a picture or a part of one, by a text, or by both."""
    if box is not None and text is not None:
        raise typer.BadParameter("--box goes with a picture or --like alone: leave --text out")
    query = _query(picture, like, region, text, text_weight) | _part(box)
    with Client(address) as client:
        result = client.search(
            collection,
            space=space,
            fuse=_weights(fuse),
            fuse_method=fuse_method,
            limit=limit,
            min_score=min_score,
            exact=exact,
            ef=ef,
            nprobe=nprobe,
            rescore=rescore,
            regions=True,
            **query,
        )
        if as_json:
            print_json(asdict(result))
            return
        print_hits(console, result)
        if open_sheet:
            source = like or (region or "").rpartition("#")[0]
            shown = picture.read_bytes() if picture else client.get_content(collection, source) if source else None
            drawing = _drawing(client, collection, query.get("box"), region, result)
            sheet = show_contact_sheet(client, collection, shown, result, text or "", drawing)
            console.print(f"Contact sheet: {sheet}")


def _query(
    picture: Path | None, like: str | None, region: str | None, text: str | None, text_weight: float
) -> dict[str, Any]:
    """Return what is searched by, as `Client.search` takes it."""
    if region is not None:
        if picture is not None or like is not None or text is not None:
            raise typer.BadParameter("give --region ID alone")
        return {"region_id": region}
    if (picture is not None and like is not None) or (picture is None and like is None and text is None):
        raise typer.BadParameter(
            "give a picture, or --like ID, or --text TEXT, or one of the first two with a text; or --region ID"
        )
    if text is None:
        return {"image": picture, "image_id": like}
    if picture is None and like is None:
        return {"text": text}
    return {"combine": [Part(image=picture, image_id=like), Part(text=text, weight=text_weight)]}


def _weights(fuse: list[str] | None) -> dict[str, float] | None:
    """Return spaces to search at once with their weights, as `Client.search` takes them."""
    if not fuse:
        return None
    weights: dict[str, float] = {}
    for each in fuse:
        space, given, weight = each.partition("=")
        if space in weights:
            raise typer.BadParameter(f"--fuse names space {space!r} twice")
        try:
            weights[space] = float(weight) if given else 1.0
        except ValueError:
            raise typer.BadParameter(f"--fuse takes SPACE or SPACE=WEIGHT, not {each!r}") from None
    return weights


def _drawing(
    client: Client,
    collection: str,
    box: tuple[float, float, float, float] | None,
    region: str | None,
    result: SearchResult,
) -> Drawing | None:
    """Return what is to be drawn on the query picture: the box, or the region where it is among its own hits."""
    if box is not None:
        return Drawing([box_outline(Box(*box))])
    own = [hit.region for hit in result if hit.region and hit.region.region_id == region]
    return draw_regions(client, collection, (region or "").rpartition("#")[0], own)


def _part(box: str | None) -> dict[str, Any]:
    """Return the part of the picture that is searched by, as `Client.search` takes it."""
    if box is None:
        return {}
    try:
        x1, y1, x2, y2 = map(float, box.split(","))
    except ValueError:
        raise typer.BadParameter(f"--box takes x1,y1,x2,y2 in pixels of the upright picture, not {box!r}") from None
    return {"box": (x1, y1, x2, y2)}
