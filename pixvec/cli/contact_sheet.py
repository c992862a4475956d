"""One HTML page that shows a query, a picture or a text, beside its hits. It needs nothing but itself."""

import html
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from pixvec.cli.hits import match_text, region_text
from pixvec.cli.sheet_page import (
    Drawing,
    Outline,
    SheetHit,
    box_outline,
    hit_list,
    shown_picture,
    summary_of,
    write_page,
)
from pixvec.client import Client
from pixvec.client.values import FoundRegion, Hit, SearchResult


def write_contact_sheet(
    file: Path,
    title: str,
    query: bytes | None,
    hits: Sequence[SheetHit],
    result: SearchResult,
    text: str = "",
    drawing: Drawing | None = None,
) -> None:
    """Write the page to `file`. `query`, a picture of any format that browsers show, or `text`, or both were searched
    by; `drawing` is what part of the picture."""
    summary = summary_of(f"{len(result)} hits", result.timings, result.coverage)
    write_page(file, title, summary, _query(query, text, drawing), hit_list(hits))


def fetch_hits(client: Client, collection: str, hits: Sequence[Hit]) -> list[SheetHit]:
    """Return the hits with their thumbnails, and their regions drawn on them, or where the query lies in them."""
    # A sum of reciprocal ranks is far from 1.
    full = max(hits[0].score, 0.0) or 1.0 if hits and hits[0].scores else 1.0
    return [
        SheetHit(
            hit.image_id,
            hit.score,
            client.get_content(collection, hit.image_id, thumbnail=True),
            _drawn_on(client, collection, hit),
            _note(hit),
            full,
        )
        for hit in hits
    ]


def _note(hit: Hit) -> str:
    """Return what more is said of a hit."""
    said = region_text(hit.region) if hit.region else match_text(hit.match) if hit.match else ""
    return ", ".join(filter(None, (said, *(f"{space} {score:.2f}" for space, score in hit.scores.items()))))


def _drawn_on(client: Client, collection: str, hit: Hit) -> Drawing | None:
    if hit.match and hit.match.quad:
        image = client.get_image(collection, hit.image_id)
        return Drawing([Outline(hit.match.quad)], image.width, image.height)
    return draw_regions(client, collection, hit.image_id, [hit.region] if hit.region else [])


def draw_regions(
    client: Client, collection: str, image_id: str, regions: Sequence[FoundRegion], labels: Sequence[str] = ()
) -> Drawing | None:
    """Return what is to be drawn on an image's thumbnail, None where nothing is known of its regions."""
    named = zip(regions, labels or [""] * len(regions), strict=True)
    outlines = [box_outline(region.box, label) for region, label in named if region.box is not None]
    if not outlines:
        return None
    image = client.get_image(collection, image_id)
    return Drawing(outlines, image.width, image.height)


def show_contact_sheet(
    client: Client,
    collection: str,
    query: bytes | None,
    result: SearchResult,
    text: str = "",
    drawing: Drawing | None = None,
) -> Path:
    """Write the hits as a page of their own and show it in a browser, where there is one. Return the page."""
    file = new_sheet()
    hits = fetch_hits(client, collection, result)
    write_contact_sheet(file, f"pixvec: {collection}", query, hits, result, text, drawing)
    webbrowser.open(file.as_uri())
    return file


def new_sheet() -> Path:
    """Return where a page of its own goes."""
    return Path(tempfile.mkdtemp(prefix="pixvec-")) / "contact-sheet.html"


def _query(picture: bytes | None, text: str, drawing: Drawing | None) -> str:
    shown = "" if picture is None else shown_picture(picture, "The query picture", drawing)
    return f"{shown}<blockquote>{html.escape(text)}</blockquote>" if text else shown
