"""What a collection's regions are made by, and its further spaces, as options of a command."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from pixvec.domain import RegionEmbedding, RegionSettings

Detector = Annotated[str | None, typer.Option(help="Find the objects of each picture too, with this detector.")]
Embedding = Annotated[
    RegionEmbedding | None,
    typer.Option(help="What the vector of an object is made of: the detector's own features, or a crop; default: roi."),
]
ClassAgnostic = Annotated[bool, typer.Option("--class-agnostic", help="Objects of whatever class.")]
MinScore = Annotated[float | None, typer.Option(help="Leave out objects of a lower score; default: 0.5.")]
MaxRegions = Annotated[int | None, typer.Option(help="Keep the best of a picture; default: 20.")]
MinAreaShare = Annotated[float | None, typer.Option(help="Leave out what covers less of its picture.")]
BackgroundOut = Annotated[
    bool, typer.Option("--background-out", help="Leave the background of a box out (Mask R-CNN).")
]
FurtherSpaces = Annotated[
    list[str] | None, typer.Option("--space", metavar="NAME=MODEL", help="A further space; may be given several times.")
]


def region_settings(detector: str | None, options: Mapping[str, Any]) -> RegionSettings | None:
    """Return settings with those options that were given; None without a detector. Raises BadParameter."""
    given = {name: value for name, value in options.items() if value not in (None, False)}
    if detector is not None:
        return RegionSettings(detector, **given)
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"{names} is about the objects of pictures: say what finds them with --detector")
    return None


def further_spaces(given: Sequence[str] | None) -> dict[str, str]:
    """Return models by the names of their spaces. Raises BadParameter."""
    spaces: dict[str, str] = {}
    for each in given or ():
        name, _, model = each.partition("=")
        if not name or not model:
            raise typer.BadParameter(f"{each!r} is no NAME=MODEL", param_hint="--space")
        if name in spaces:
            raise typer.BadParameter(f"space {name!r} is given twice", param_hint="--space")
        spaces[name] = model
    return spaces
