"""`pixvec …`: every command. Exit codes: 0 done, 1 refused or failed (one line says why), 2 wrong usage, 130 Ctrl-C."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from pixvec.cli import classify, collections, doctor, duplicates, local, models, scene, search, snapshots, topology
from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.client import Client
from pixvec.client.channel import DEFAULT_ADDRESS
from pixvec.client.progress import progress_line
from pixvec.client.sources import count_pictures
from pixvec.domain import OnDuplicate
from pixvec.errors import NotFound, PixvecError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Image retrieval: pictures in, pictures found.")
jobs = typer.Typer(invoke_without_command=True, help="List jobs and what failed in them.")
app.add_typer(collections.app, name="collection")
app.add_typer(jobs, name="jobs")
app.add_typer(models.app, name="models")
app.add_typer(models.train_app, name="train")
app.add_typer(snapshots.app, name="snapshot")
app.command("search")(search.search)
app.command("scene")(scene.scene)
app.command("classify")(classify.classify)
app.command("duplicates")(duplicates.duplicates)
app.command("up")(local.up)
app.command("down")(local.down)
app.command("status")(local.status)
app.command("topology")(topology.topology)
app.command("doctor")(doctor.doctor)

console = plain_console()


@app.command()
def demo(
    images: Annotated[
        Path | None, typer.Argument(exists=True, file_okay=False, help="A folder of pictures; default: demo pictures.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model's name, or auto.")] = "auto",
    output: Annotated[Path, typer.Option(help="Where the contact sheet goes.")] = Path("pixvec-demo"),
) -> None:
    """Run the whole system once through on a folder of pictures, and stop it again."""
    from pixvec.cli.demo import run_demo

    run_demo(console, images, model, output)


@app.command()
def ingest(
    collection: str,
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Pictures, and folders of pictures.")],
    on_duplicate: Annotated[
        OnDuplicate, typer.Option(help="What to do with pictures that are there under another id.")
    ] = OnDuplicate.KEEP,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Take pictures in: files and folders. Run it again to go on after an interruption."""
    total = count_pictures(paths)
    if total == 0:
        raise NotFound(f"no pictures in {', '.join(map(str, paths))}: name files, or folders that hold some")
    with Client(address) as client:
        # An ingest waits long for a gateway that is away; whoever types this wants to know at once.
        client.get_collection(collection)
        job = client.ingest(collection, paths, on_duplicate=on_duplicate)
        if as_json:
            job.wait()
        else:
            with progress_line(lambda: job.counts, total) as show:
                job.wait(on_progress=show)
    if as_json:
        failures = [asdict(failure) for failure in job.failures]
        print_json({"job_id": job.job_id, **asdict(job.counts), "failures": failures})
    else:
        if job.counts.linked:
            console.print(f"{job.counts.linked:,} are linked to images that they are duplicates of.")
        for failure in job.failures:
            console.print(f"failed: {failure.error.message}")
    if job.failures:
        raise typer.Exit(1)


@jobs.callback()
def list_jobs(context: typer.Context, address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """List jobs, the newest first."""
    if context.invoked_subcommand is not None:
        return
    with Client(address) as client:
        found = list(client.list_jobs())
    if as_json:
        print_json([asdict(job) for job in found])
        return
    numbers = [Column(name, justify="right", no_wrap=True) for name in ("total", "indexed", "failed")]
    columns = (Column("job", no_wrap=True), Column("collection", overflow="fold"), Column("state", no_wrap=True))
    # Without lines a row fits a terminal of 80 columns.
    table = Table(*columns, *numbers, box=None, padding=(0, 1, 0, 0))
    for job in found:
        ended, about = job.indexed, job.collection
        if job.training is not None:
            ended, about = job.decoded, f"{job.collection}: {job.training.model}"
        counts = (f"{number:,}" for number in (job.total, ended, job.failed))
        table.add_row(job.job_id, about, job.state, *counts)
    console.print(table)


@jobs.command("failures")
def job_failures(job_id: str, address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """List what failed in a job, and why."""
    with Client(address) as client:
        if as_json:
            print_json([asdict(failure) for failure in client.failures(job_id)])
            return
        for failure in client.failures(job_id):
            console.print(f"{failure.error.reason}: {failure.error.message}")


def main() -> None:
    """Run the command line; an error is one line that says what to do."""
    try:
        app()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("pixvec", "services", "workers"):
            raise
        _fail(f"this needs the package {error.name}, which is not installed: pip install 'pixvec[all]'")
    except (PixvecError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    plain_console(stderr=True).print(Text.assemble(("error:", "red"), f" {message}"))
    sys.exit(1)


if __name__ == "__main__":
    main()
