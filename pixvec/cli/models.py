"""`pixvec models …` and `pixvec train …`: what makes vectors, and what is fitted on a collection's pictures."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from pixvec.cli.console import Address, AsJson, plain_console, print_json
from pixvec.client import Client
from pixvec.client.channel import DEFAULT_ADDRESS
from pixvec.client.models import TrainingJob
from pixvec.domain import FittedKind, Model, ModelKind

app = typer.Typer(invoke_without_command=True, help="List models, and keep fitted ones.")
train_app = typer.Typer(no_args_is_help=True, help="Fit a model on a sample of a collection.")
console = plain_console()

Sample = Annotated[int, typer.Option(help="Pictures to fit on at most; 0: the default.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once; see `pixvec jobs`.")]


@app.callback()
def models(context: typer.Context, address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """List models, the best first: what they make, where they are from, and whether they are at hand."""
    if context.invoked_subcommand is not None:
        return
    with Client(address) as client:
        found = list(client.models.list())
    if as_json:
        print_json([asdict(each) for each in found])
        return
    # Cells may take several lines, which the console that leaves lines whole would spoil.
    Console(markup=False, emoji=False, highlight=False).print(_table(found))
    if not all(each.available for each in found):
        console.print("How to get what is not here: pixvec models show NAME")


@app.command("show")
def show(model: str, address: Address = DEFAULT_ADDRESS) -> None:
    """Show one model as JSON."""
    with Client(address) as client:
        print_json(asdict(client.models.get(model)), indent=2)


@app.command("register")
def register(
    name: str,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A fitted file: safetensors.")],
    kind: Annotated[FittedKind, typer.Option(help="What was fitted.")],
    base_model: Annotated[str, typer.Option(help="The model that a PCA is for.")] = "",
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Keep a fitted file under a name, for every worker."""
    with Client(address) as client:
        made = client.models.register(name, file, kind=kind, base_model=base_model)
    console.print(f"Registered {made.name}: {made.dim} dimensions.")


@app.command("delete")
def delete(model: str, address: Address = DEFAULT_ADDRESS) -> None:
    """Forget a fitted model that no collection is made with."""
    with Client(address) as client:
        client.models.delete(model)
    console.print(f"Deleted {model}.")


@train_app.command("codebook")
def train_codebook(
    collection: str,
    name: str,
    kind: Annotated[FittedKind, typer.Option(help="sift-vlad or sift-bow.")] = FittedKind.SIFT_VLAD,
    words: Annotated[int, typer.Option(help="Visual words; 0: the default, 64.")] = 0,
    sample: Sample = 0,
    no_wait: NoWait = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Fit a codebook of SIFT descriptors, for collections that find crops and details."""
    if not kind.is_codebook:
        raise typer.BadParameter("sift-vlad and sift-bow are what takes a codebook", param_hint="--kind")
    with Client(address) as client:
        job = client.models.train_codebook(collection, name, kind=kind, words=words, sample_size=sample)
        _follow(job, no_wait, as_json)


@train_app.command("pca")
def fit_pca(
    collection: str,
    name: str,
    model: Annotated[str, typer.Option(help="Whose vectors; default: those of the collection.")] = "",
    dim: Annotated[int, typer.Option(help="Dimensions to keep; 0: the default, 128.")] = 0,
    whiten: Annotated[bool, typer.Option("--whiten", help="Give each of them the same variance.")] = False,
    sample: Sample = 0,
    no_wait: NoWait = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Fit principal components of a model's vectors, for collections of shorter ones."""
    with Client(address) as client:
        job = client.models.fit_pca(collection, name, model=model, dim=dim, whiten=whiten, sample_size=sample)
        _follow(job, no_wait, as_json)


def _follow(job: TrainingJob, no_wait: bool, as_json: bool) -> None:
    if not no_wait:
        job.wait(progress=not as_json)
    if as_json:
        print_json(asdict(job.info))
    elif no_wait:
        console.print(f"Job {job.job_id} fits {job.model}.")
    else:
        console.print(f"Fitted {job.model}: pixvec collection create NAME --model {job.model}")


def _table(found: list[Model]) -> Table:
    numbers = [Column(name, justify="right", no_wrap=True) for name in ("dim", "M params", "MB")]
    texts = [Column(name, overflow="fold") for name in ("source", "licence")]
    # Without lines, and a kind said once, a row fits a terminal of 80 columns.
    table = Table(
        Column("model", overflow="fold"), *numbers, *texts, Column("here", no_wrap=True), box=None, padding=(0, 1, 0, 0)
    )
    for kind in ModelKind:
        of_kind = [each for each in found if each.kind is kind]
        if of_kind:
            table.add_row(f"{kind}:")
        for each in of_kind:
            table.add_row(f"  {each.name}", *_figures(each), each.source, _licence(each), _yes(each.available))
    return table


def _figures(model: Model) -> tuple[str, str, str]:
    """Return dimension, millions of parameters and megabytes; nothing for what is not known, or is not there."""
    megabytes = f"{model.size_bytes / 1e6:,.0f}" if model.size_bytes >= 1e7 else f"{model.size_bytes / 1e6:.2g}"
    return (
        str(model.dim) if model.dim else "",
        f"{model.parameters / 1e6:,.1f}" if model.parameters else "",
        megabytes if model.size_bytes else "",
    )


def _licence(model: Model) -> str:
    # What it was trained on comes behind; all of it is in the JSON.
    return model.licence.partition(";")[0]


def _yes(available: bool) -> str:
    return "yes" if available else "no"
