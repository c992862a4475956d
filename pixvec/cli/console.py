"""The terminal, which shows names and messages as they are: none is taken for markup, none is folded."""

import json
from typing import Annotated

import typer
from rich.console import Console

Address = Annotated[str, typer.Option(envvar="PIXVEC_ADDRESS", help="The gateway.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console over stdout or stderr."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


def print_json(value: object, indent: int | None = None) -> None:
    """Print a value as JSON; what JSON does not know, as text."""
    typer.echo(json.dumps(value, default=str, indent=indent))
