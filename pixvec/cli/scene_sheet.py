"""One HTML page that shows a scene: the query picture, the hits of each of its objects, and pictures that hold all."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from pixvec.cli.contact_sheet import draw_regions, fetch_hits, new_sheet
from pixvec.cli.hits import object_text
from pixvec.cli.sheet_page import (
    Drawing,
    SheetHit,
    box_outline,
    hit_list,
    section,
    shown_picture,
    summary_of,
    write_page,
)
from pixvec.client import Client, SceneHit, SceneResult

NO_OBJECT = "No object was found in the picture."


def show_scene_sheet(client: Client, collection: str, query: bytes, scene: SceneResult) -> Path:
    """Write the scene as a page of its own and show it in a browser, where there is one. Return the page."""
    file = new_sheet()
    write_scene_sheet(
        file,
        f"pixvec: {collection}",
        query,
        [fetch_hits(client, collection, each.hits) for each in scene],
        [_fetch(client, collection, hit) for hit in scene.pictures],
        scene,
    )
    webbrowser.open(file.as_uri())
    return file


def write_scene_sheet(
    file: Path,
    title: str,
    query: bytes,
    hits: Sequence[Sequence[SheetHit]],
    pictures: Sequence[SheetHit],
    scene: SceneResult,
) -> None:
    """Write the page to `file`: the hits of each object of the scene, in order, and pictures that hold all of them."""
    outlines = [box_outline(each.region.box, str(n)) for n, each in enumerate(scene, start=1) if each.region.box]
    shown = shown_picture(query, "The query picture", Drawing(outlines, scene.width, scene.height))
    parts = [section("Pictures that hold all of them", hit_list(pictures))] if len(scene) > 1 else []
    for number, (each, own) in enumerate(zip(scene, hits, strict=True), start=1):
        parts.append(section(f"{number}. {object_text(each.region)}", hit_list(own)))
    summary = summary_of(f"{len(scene)} of {scene.objects_found} objects", scene.timings, scene.coverage)
    write_page(file, title, summary, shown, "\n".join(parts) or section(NO_OBJECT, ""))


def _fetch(client: Client, collection: str, hit: SceneHit) -> SheetHit:
    regions = [match.region for match in hit.objects]
    labels = [str(number) for number in range(1, len(regions) + 1)]
    return SheetHit(
        hit.image_id,
        hit.score,
        client.get_content(collection, hit.image_id, thumbnail=True),
        draw_regions(client, collection, hit.image_id, regions, labels),
        ", ".join(f"{number}: {match.score:.4f}" for number, match in zip(labels, hit.objects, strict=True)),
    )
