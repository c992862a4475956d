"""`pixvec doctor`."""

import json
from typing import Annotated

import typer
from rich.text import Text

from pixvec.cli.console import plain_console
from pixvec.cli.examination import Finding, examine
from pixvec.cli.local import LISTEN, Data, data_folder

console = plain_console()


def doctor(
    data: Data = None,
    listen: Annotated[str, typer.Option(help="The address that the gateway is to have.")] = LISTEN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what is missing on this machine, and say what to do about it."""
    findings = list(examine(data_folder(data), listen))
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in findings]))
    else:
        for finding in findings:
            _print(finding)
    if any(finding.remedy and finding.needed for finding in findings):
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    trouble = ("missing", "red") if finding.needed else ("note", "yellow")
    mark, style = trouble if finding.remedy else ("ok", "green")
    console.print(Text.assemble((f"{mark:9}", style), f"{finding.what}: {finding.found}"))
    if finding.remedy:
        console.print(f"{'':9}{finding.remedy}")
