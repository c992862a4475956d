"""`pixvec demo`: the whole system, once through, on a folder of pictures."""

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pixvec.cli.contact_sheet import fetch_hits, write_contact_sheet
from pixvec.cli.hits import print_hits
from pixvec.client import Client
from pixvec.client.progress import progress_line
from pixvec.client.sources import count_pictures, read_sources
from pixvec.client.values import SearchResult
from pixvec.embedded.running import RunningSystem
from pixvec.errors import InvalidRequest, NotFound

COLLECTION = "demo"
HITS = 12


def run_demo(console: Console, images: Path | None, model: str, output: Path) -> None:
    """Start a system of its own, take the pictures in, search for a spoilt copy of one of them, stop everything.

    Raises NotFound when a folder holds no picture or the original is not among the hits.
    """
    with tempfile.TemporaryDirectory(prefix="pixvec-demo-") as scratch:
        folder, original = _choose_pictures(console, images, Path(scratch))
        query = spoilt_copy(original)
        with _said(console, "Starting Postgres, Redis, searcher, worker, sweeper and gateway"):
            system = RunningSystem().__enter__()
        try:
            with Client(system.address) as client:
                _ingest(console, client, folder, model)
                result = client.search(COLLECTION, image=query, limit=HITS)
                rank = _show(console, result, original.relative_to(folder).as_posix())
                sheet = _write_sheet(client, query, original.name, result, output)
        finally:
            with _said(console, "Stopping everything"):
                system.stop()
    console.print(Text.assemble(("Look at it:", "bold"), f" {sheet.resolve()}"))
    if rank is None:
        raise NotFound(f"the original, {original.name}, is not among the first {HITS} hits")


def spoilt_copy(original: Path) -> bytes:
    """Return a JPEG of the middle 60 % of a picture's sides, shrunk to half and compressed to quality 30."""
    from PIL import Image, ImageOps

    with Image.open(original) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    width, height = picture.size
    crop = picture.crop((width // 5, height // 5, width - width // 5, height - height // 5))
    crop.thumbnail((max(crop.width // 2, 64), max(crop.height // 2, 64)))
    out = io.BytesIO()
    crop.save(out, "JPEG", quality=30)
    return out.getvalue()


def _choose_pictures(console: Console, images: Path | None, scratch: Path) -> tuple[Path, Path]:
    """Return the folder to take in and the picture to search for."""
    if images is None:
        from pixvec.embedded.demo_pictures import write_demo_pictures

        folder = scratch / "pictures"
        with _said(console, "Painting demo pictures"):
            return folder, write_demo_pictures(folder)
    # What the SDK takes in: it passes over hidden files, for one.
    listed = (image.path for image in read_sources([images]))
    original = next((path for path in listed if path and _opens(path)), None)
    if original is None:
        raise NotFound(
            f"{images} holds no picture that can be read: name a folder of JPEG, PNG, WebP, GIF, BMP or TIFF"
        )
    return images, original


def _opens(path: Path) -> bool:
    try:
        spoilt_copy(path)
    except (OSError, ValueError):
        return False
    return True


def _ingest(console: Console, client: Client, folder: Path, model: str) -> None:
    with _said(console, f"Creating collection '{COLLECTION}'"):
        collection = client.create_collection(COLLECTION, model=model)
    space = collection.spaces[0]
    console.print(f"  model {space.model}, {space.dim} dimensions. {collection.model_choice}")
    console.print("Taking the pictures in through the gateway")
    job = client.ingest(COLLECTION, [folder])
    with progress_line(lambda: job.counts, count_pictures([folder])) as show:
        job.wait(on_progress=show)
    for failure in job.failures[:10]:
        console.print(Text.assemble(("  not taken in:", "yellow"), f" {failure.error.message}"))
    if job.counts.indexed == 0:
        raise InvalidRequest("no picture could be taken in")


def _show(console: Console, result: SearchResult, original: str) -> int | None:
    """Print hits and timings; return the original's rank, None when it is not there."""
    console.print(f"Searching for a copy of {original}: cropped to 60 %, shrunk, JPEG quality 30")
    print_hits(console, result, marked=original)
    rank = next((number for number, hit in enumerate(result, start=1) if hit.image_id == original), None)
    if rank is not None:
        console.print(f"The original was found at rank {rank}.")
    return rank


def _write_sheet(client: Client, query: bytes, name: str, result: SearchResult, output: Path) -> Path:
    hits = fetch_hits(client, COLLECTION, result)
    file = output / "contact-sheet.html"
    write_contact_sheet(file, f"pixvec: a spoilt copy of {name}", query, hits, result)
    return file


@contextmanager
def _said(console: Console, what: str) -> Iterator[None]:
    """Say what is being done, then how long it took."""
    console.print(f"{what} …", end=" ")
    started = time.monotonic()
    yield
    console.print(f"{time.monotonic() - started:.1f} s")
