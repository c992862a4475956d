"""`pixvec classify`: say of which labels pictures are."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.client import Classification, Client
from pixvec.client.channel import DEFAULT_ADDRESS

console = plain_console()


def classify(
    collection: str,
    pictures: Annotated[list[Path] | None, typer.Argument(exists=True, dir_okay=False, help="Pictures.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="What they may be of; give two at least.")] = None,
    like: Annotated[list[str] | None, typer.Option(help="An image of the collection, in place of pictures.")] = None,
    template: Annotated[list[str] | None, typer.Option(help="A text with {} where the label goes.")] = None,
    space: Annotated[str, typer.Option(help="The space whose model is asked; default: the first that fits.")] = "",
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Say of which labels pictures are, by a model of pictures and texts, without training."""
    if bool(pictures) == bool(like):
        raise typer.BadParameter("give pictures, or --like ID")
    if not label:
        raise typer.BadParameter("give labels: --label cat --label dog")
    with Client(address) as client:
        result = client.classify(
            collection, label, images=pictures or None, image_ids=like or None, templates=template or (), space=space
        )
    names = [str(each) for each in pictures or like or ()]
    if as_json:
        told = [{"picture": name, "labels": dict(found)} for name, found in zip(names, result, strict=True)]
        print_json({"pictures": told, "exclusive": result.exclusive, "timings": asdict(result.timings)})
        return
    for name, found in zip(names, result, strict=True):
        console.print(_table(name, found))
    if not result.exclusive:
        console.print("Each label stands for itself: a picture may be of several, or of none.")


def _table(name: str, found: Classification) -> Table:
    table = Table(Column(name, overflow="fold"), Column("probability", justify="right"))
    for label, probability in found.items():
        table.add_row(label, f"{probability:.4f}", style="bold" if label == found.best else "")
    return table
