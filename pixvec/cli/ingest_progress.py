"""The live line of an ingest."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from pixvec.client.values import Failure, IngestCounts

STAGES = ("queued", "decoded", "embedded", "indexed", "failed")


class Ingest(Protocol):
    """What both kinds of ingest offer."""

    @property
    def counts(self) -> IngestCounts:
        """How the pictures stand now."""

    @property
    def failures(self) -> list[Failure]:
        """Pictures that failed."""

    def wait(self, *, on_progress: Callable[[IngestCounts], None] | None = None) -> Self:
        """Return when every picture has ended."""


_Job = TypeVar("_Job", bound=Ingest)


def show_progress(console: Console, job: _Job, total: int | None = None) -> _Job:
    """Draw the line until the ingest has ended. `total` is the number of pictures where it is known beforehand."""
    with Progress(
        TextColumn("{task.fields[stages]}"),
        TextColumn("{task.fields[rate]:.1f} images/s"),
        TimeRemainingColumn(compact=True),
        console=console,
    ) as progress:
        line = progress.add_task("", total=total, stages="", rate=0.0)

        def show(counts: IngestCounts) -> None:
            task = progress.tasks[0]
            ended = counts.indexed + counts.failed
            progress.update(
                line,
                completed=ended,
                total=max(total or 0, counts.total),
                stages="  ".join(f"{stage} {getattr(counts, stage)}" for stage in STAGES),
                rate=ended / max(task.elapsed or 0.0, 1e-3),
            )

        job.wait(on_progress=show)
        show(job.counts)
    return job
