"""One HTML page that shows a query, a picture or a text, beside its hits. It needs nothing but itself."""

import base64
import html
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixvec.client import Client
from pixvec.client.values import SearchResult


@dataclass(frozen=True, slots=True)
class SheetHit:
    """A hit with its thumbnail, a JPEG."""

    image_id: str
    score: float
    thumbnail: bytes


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --ground: #fcfcfd; --card: #fff; --line: #e0e1e6;
           --mark: #3e63dd; }}
  @media (prefers-color-scheme: dark) {{ :root {{ --ink: #edeef0; --soft: #b0b4ba; --ground: #111113; --card: #18191b;
           --line: #2e3135; --mark: #9eb1ff; }} }}
  body {{ margin: 0 auto; padding: 2.5rem 1.5rem; max-width: 76rem; font: 16px/1.5 system-ui, sans-serif;
          color: var(--ink); background: var(--ground); }}
  h1 {{ margin: 0; font-size: 1.4rem; font-weight: 650; }}
  p {{ margin: .25rem 0 2rem; color: var(--soft); }}
  main {{ display: grid; grid-template-columns: minmax(14rem, 18rem) 1fr; gap: 2rem; align-items: start; }}
  @media (max-width: 46rem) {{ main {{ grid-template-columns: 1fr; }} }}
  ol {{ list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
        grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }}
  figure {{ margin: 0; border: 1px solid var(--line); border-radius: .6rem;
           overflow: hidden; background: var(--card); }}
  .query {{ border: 2px solid var(--mark); }}
  blockquote {{ margin: 0; padding: 1.5rem 1.25rem; font-size: 1.35rem; line-height: 1.35; overflow-wrap: anywhere; }}
  img {{ display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: var(--ground); }}
  figcaption {{ padding: .5rem .75rem .6rem; font-size: .85rem; overflow-wrap: anywhere; }}
  .score {{ float: right; margin-left: .5rem; color: var(--soft); font-variant-numeric: tabular-nums; }}
  .bar {{ height: 3px; background: var(--mark); }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<main>
  <figure class="query">{query}<figcaption>query</figcaption></figure>
  <ol>
{hits}
  </ol>
</main>
</html>
"""
_HIT = (
    '    <li><figure><img src="{thumbnail}" alt="{name}"><div class="bar" style="width: {share:.0f}%"></div>'
    '<figcaption><span class="score">{score:.4f}</span>{rank}. {name}</figcaption></figure></li>'
)


def write_contact_sheet(
    file: Path, title: str, query: bytes | None, hits: Sequence[SheetHit], result: SearchResult, text: str = ""
) -> None:
    """Write the page to `file`. `query`, a picture of any format that browsers show, or `text`, or both were searched
    by."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [_hit(rank, hit) for rank, hit in enumerate(hits, start=1)]
    page = _PAGE.format(
        title=html.escape(title), summary=_summary(result), query=_query(query, text), hits="\n".join(rows)
    )
    file.write_text(page, encoding="utf-8")


def fetch_hits(client: Client, collection: str, result: SearchResult) -> list[SheetHit]:
    """Return the hits with their thumbnails."""
    return [
        SheetHit(hit.image_id, hit.score, client.get_content(collection, hit.image_id, thumbnail=True))
        for hit in result
    ]


def show_contact_sheet(
    client: Client, collection: str, query: bytes | None, result: SearchResult, text: str = ""
) -> Path:
    """Write the hits as a page of their own and show it in a browser, where there is one. Return the page."""
    file = Path(tempfile.mkdtemp(prefix="pixvec-")) / "contact-sheet.html"
    write_contact_sheet(file, f"pixvec: {collection}", query, fetch_hits(client, collection, result), result, text)
    webbrowser.open(file.as_uri())
    return file


def _query(picture: bytes | None, text: str) -> str:
    shown = "" if picture is None else f'<img src="{_data_uri(picture)}" alt="The query picture">'
    return f"{shown}<blockquote>{html.escape(text)}</blockquote>" if text else shown


def _hit(rank: int, hit: SheetHit) -> str:
    return _HIT.format(
        rank=rank,
        name=html.escape(hit.image_id),
        score=hit.score,
        share=100 * min(max(hit.score, 0.0), 1.0),
        thumbnail=_data_uri(hit.thumbnail),
    )


def _summary(result: SearchResult) -> str:
    stages = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in result.timings.stages().items() if seconds)
    coverage = result.coverage
    return (
        f"{len(result)} hits in {result.timings.total * 1e3:.1f} ms ({stages}); "
        f"{coverage.shards_answered} of {coverage.shards_total} shards answered."
    )


def _data_uri(content: bytes) -> str:
    kinds = ((b"\x89PNG", "png"), (b"GIF8", "gif"), (b"RIFF", "webp"), (b"BM", "bmp"))
    kind = next((kind for magic, kind in kinds if content.startswith(magic)), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
