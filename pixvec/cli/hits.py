"""Hits on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from pixvec.client import SceneResult
from pixvec.client.values import Coverage, FoundRegion, Hit, SearchResult, Timings
from pixvec.domain import Match, MatchKind


def print_hits(console: Console, result: SearchResult, *, marked: str = "") -> None:
    """Print hits, where the time went, and what the answer covers. The image `marked` stands out."""
    console.print(_table(result, marked))
    _print_times(console, result.timings, result.coverage)


def print_scene(console: Console, scene: SceneResult) -> None:
    """Print the hits of each object of a picture, pictures that hold all of them, and as `print_hits` does."""
    if not scene.objects_found:
        console.print("No object was found in the picture.")
    for number, each in enumerate(scene, start=1):
        console.print(Text(f"{number}. {object_text(each.region)}", "bold"))
        console.print(_table(each.hits))
    if len(scene) > 1:
        console.print(Text("Pictures that hold all of them", "bold"))
        table = Table("rank", Column("image", overflow="fold"), "score", "of each object")
        for rank, hit in enumerate(scene.pictures, start=1):
            own = "  ".join(f"{match.score:.4f}" for match in hit.objects)
            table.add_row(str(rank), Text(hit.image_id), f"{hit.score:.4f}", own)
        console.print(table)
    if len(scene) < scene.objects_found:
        console.print(f"{scene.objects_found} objects were found; --max-objects says how many are searched for.")
    _print_times(console, scene.timings, scene.coverage)


def region_text(region: FoundRegion) -> str:
    """Return what is known of a region, in one line: what to search by it with, what it is, and where."""
    return region.region_id if region.box is None else f"{region.region_id}: {object_text(region)}"


def match_text(match: Match) -> str:
    """Return what a hit is to the query picture, in a few words."""
    if match.kind is MatchKind.NEAR_DUPLICATE:
        return f"near duplicate, {match.inliers} keypoints"
    return match.kind.value


def object_text(region: FoundRegion) -> str:
    """Return what a region is and where, in one line."""
    if region.box is None:
        return region.region_id or "object"
    corners = ",".join(f"{corner:.0f}" for corner in (region.box.x1, region.box.y1, region.box.x2, region.box.y2))
    return f"{region.class_name or 'object'} {region.score:.2f} at {corners}"


def _table(hits: Sequence[Hit], marked: str = "") -> Table:
    of_regions, matched = any(hit.region for hit in hits), any(hit.match for hit in hits)
    spaces = list(dict.fromkeys(space for hit in hits for space in hit.scores))
    table = Table("rank", Column("image", overflow="fold"), "score", *(f"in {escape(space)}" for space in spaces))
    if of_regions:
        table.add_column("region", overflow="fold")
    if matched:
        table.add_column("match", overflow="fold")
    for rank, hit in enumerate(hits, start=1):
        row: list[str | Text] = [str(rank), Text(hit.image_id), f"{hit.score:.4f}"]
        row += [f"{hit.scores[space]:.4f}" if space in hit.scores else "" for space in spaces]
        if of_regions:
            row.append(Text(region_text(hit.region) if hit.region else ""))
        if matched:
            row.append(match_text(hit.match) if hit.match else "")
        table.add_row(*row, style="bold green" if hit.image_id == marked else "")
    return table


def _print_times(console: Console, timings: Timings, coverage: Coverage) -> None:
    stages = "  ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in timings.stages().items())
    console.print(
        Text.assemble(
            f"{stages}  ",
            (f"total {timings.total * 1e3:.1f} ms", "bold"),
            f", {coverage.shards_answered} of {coverage.shards_total} shards answered",
        )
    )
