"""What contact sheets are made of: a page that needs nothing but itself, pictures, and outlines drawn on them."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixvec.client.values import Coverage, Timings
from pixvec.domain import Box


@dataclass(frozen=True, slots=True)
class Outline:
    """The corners of a part of a picture, in pixels of the upright picture; `label` is written beside the first."""

    corners: Sequence[tuple[float, float]]
    label: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Outlines on a picture of `width` x `height` pixels when upright; 0 where the picture is shown in its full size,
    which a browser can find out."""

    outlines: Sequence[Outline]
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class SheetHit:
    """A hit with its thumbnail, a JPEG, what is drawn on it, and what more is said of it. A score of `full` fills the
    bar under the picture."""

    image_id: str
    score: float
    thumbnail: bytes
    drawing: Drawing | None = None
    note: str = ""
    full: float = 1.0


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
  h2 {{ margin: 0 0 .75rem; font-size: 1.05rem; font-weight: 650; }}
  section {{ margin-bottom: 2rem; }}
  p {{ margin: .25rem 0 2rem; color: var(--soft); }}
  main {{ display: grid; grid-template-columns: minmax(14rem, 18rem) 1fr; gap: 2rem; align-items: start; }}
  @media (max-width: 46rem) {{ main {{ grid-template-columns: 1fr; }} }}
  ol {{ list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
        grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }}
  figure {{ margin: 0; border: 1px solid var(--line); border-radius: .6rem;
           overflow: hidden; background: var(--card); }}
  .query {{ border: 2px solid var(--mark); }}
  blockquote {{ margin: 0; padding: 1.5rem 1.25rem; font-size: 1.35rem; line-height: 1.35; overflow-wrap: anywhere; }}
  .shown {{ position: relative; }}
  img {{ display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: var(--ground); }}
  svg {{ position: absolute; inset: 0; width: 100%; height: 100%; }}
  polygon {{ fill: none; stroke: #ff3d71; stroke-width: 2.5px; vector-effect: non-scaling-stroke; }}
  svg text {{ fill: #fff; stroke: #c2003d; stroke-width: .2em; paint-order: stroke; font-weight: 700; }}
  figcaption {{ padding: .5rem .75rem .6rem; font-size: .85rem; overflow-wrap: anywhere; }}
  .score {{ float: right; margin-left: .5rem; color: var(--soft); font-variant-numeric: tabular-nums; }}
  .note {{ display: block; color: var(--soft); }}
  .bar {{ height: 3px; background: var(--mark); }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<main>
  <figure class="query">{query}<figcaption>query</figcaption></figure>
  <div>
{body}
  </div>
</main>
</html>
"""
_HIT = (
    '    <li><figure>{picture}<div class="bar" style="width: {share:.0f}%"></div>'
    '<figcaption><span class="score">{score:.4f}</span>{rank}. {name}{note}</figcaption></figure></li>'
)
# Of a picture that says itself how large it is: as it stands upright.
_FIT = (
    "this.nextElementSibling.setAttribute('viewBox', '0 0 ' + this.naturalWidth + ' ' + this.naturalHeight);"
    "this.nextElementSibling.style.display = ''"
)


def write_page(file: Path, title: str, summary: str, query: str, body: str) -> None:
    """Write the page to `file`. `query` and `body` are HTML, the others text."""
    file.parent.mkdir(parents=True, exist_ok=True)
    page = _PAGE.format(title=html.escape(title), summary=html.escape(summary), query=query, body=body)
    file.write_text(page, encoding="utf-8")


def box_outline(box: Box, label: str = "") -> Outline:
    """Return the outline of a box."""
    return Outline(((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2)), label)


def shown_picture(content: bytes, alt: str, drawing: Drawing | None = None) -> str:
    """Return the HTML of a picture of any format that browsers show, with what is drawn on it."""
    image = f'<img src="{_data_uri(content)}" alt="{html.escape(alt)}"'
    if drawing is None:
        return f"{image}>"
    fit = "" if drawing.width else f' onload="{_FIT}"'
    return f'<div class="shown">{image}{fit}>{_svg(drawing)}</div>'


def hit_list(hits: Sequence[SheetHit]) -> str:
    """Return the HTML of hits, in order."""
    rows = [_hit(rank, hit) for rank, hit in enumerate(hits, start=1)]
    return "\n".join(["  <ol>", *rows, "  </ol>"])


def section(title: str, body: str) -> str:
    """Return the HTML of a part of a page; `title` is text."""
    return f"  <section><h2>{html.escape(title)}</h2>\n{body}\n  </section>"


def summary_of(what: str, timings: Timings, coverage: Coverage) -> str:
    """Return in one line what was found, and how."""
    stages = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in timings.stages().items() if seconds)
    return (
        f"{what} in {timings.total * 1e3:.1f} ms ({stages}); "
        f"{coverage.shards_answered} of {coverage.shards_total} shards answered."
    )


def _hit(rank: int, hit: SheetHit) -> str:
    return _HIT.format(
        rank=rank,
        name=html.escape(hit.image_id),
        score=hit.score,
        share=100 * min(max(hit.score / hit.full, 0.0), 1.0),
        picture=shown_picture(hit.thumbnail, hit.image_id, hit.drawing),
        note=f'<span class="note">{html.escape(hit.note)}</span>' if hit.note else "",
    )


def _svg(drawing: Drawing) -> str:
    """Return outlines in the frame that `object-fit: contain` puts the picture in."""
    size = 0.08 * max(drawing.width, drawing.height)
    hidden = "" if drawing.width else ' style="display: none"'
    parts = [f'<svg viewBox="0 0 {drawing.width} {drawing.height}" preserveAspectRatio="xMidYMid meet"{hidden}>']
    for outline in drawing.outlines:
        corners = " ".join(f"{x:g},{y:g}" for x, y in outline.corners)
        parts.append(f'<polygon points="{corners}"/>')
        if outline.label:
            x, y = outline.corners[0]
            place = f'x="{x + size / 4:g}" y="{y + size:g}" font-size="{size:g}"'
            parts.append(f"<text {place}>{html.escape(outline.label)}</text>")
    return "".join([*parts, "</svg>"])


def _data_uri(content: bytes) -> str:
    kinds = ((b"\x89PNG", "png"), (b"GIF8", "gif"), (b"RIFF", "webp"), (b"BM", "bmp"))
    kind = next((kind for magic, kind in kinds if content.startswith(magic)), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
