"""Hits on a terminal."""

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from pixvec.client.values import SearchResult


def print_hits(console: Console, result: SearchResult, *, marked: str = "") -> None:
    """Print hits, where the time went, and what the answer covers. The image `marked` stands out."""
    table = Table("rank", Column("image", overflow="fold"), "score")
    for rank, hit in enumerate(result, start=1):
        table.add_row(str(rank), hit.image_id, f"{hit.score:.4f}", style="bold green" if hit.image_id == marked else "")
    console.print(table)
    stages = "  ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in result.timings.stages().items())
    coverage = result.coverage
    console.print(
        Text.assemble(
            f"{stages}  ",
            (f"total {result.timings.total * 1e3:.1f} ms", "bold"),
            f", {coverage.shards_answered} of {coverage.shards_total} shards answered",
        )
    )
