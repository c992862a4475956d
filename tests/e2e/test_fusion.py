"""What is like a picture by shape and by colour at once is found by fusing a space of each, through the SDK."""

import functools
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pixvec.client import Client, FusedSpace, RegionEmbedding, RegionSettings, SearchResult
from pixvec.embedded.running import RunningSystem
from pixvec.errors import InvalidRequest, NoTextTower, SpaceNotFound
from tests.detectors import NAME
from tests.detectors import SIDE as SCENE_SIDE
from tests.pictures import encode
from tests.scenes import Thing, make_scene, scene_of

COLLECTION = "goods"
FUSED = {"image": 1.0, "colours": 1.0}
SIDE, THING_SIDE = 224, 200
OF_EACH, ASKED = 5, 2


@functools.cache
def things() -> tuple[tuple[str, bytes, bool], ...]:
    """Return pictures of one plain thing each, none where another is or on its ground: what it is, and whether it is
    searched by, not for."""
    kinds = itertools.product(("circle", "triangle", "cross"), ("red", "green", "blue", "purple"))
    made: list[tuple[str, bytes, bool]] = []
    for number, ((shape, colour), place) in enumerate(itertools.product(kinds, range(OF_EACH + ASKED))):
        left, top = np.random.default_rng(number).integers(0, SIDE - THING_SIDE, 2).tolist()
        thing = Thing(shape, colour, "plain", (left, top, left + THING_SIDE, top + THING_SIDE))
        picture = encode(scene_of([thing], number, (SIDE, SIDE)), "PNG")
        made.append((thing.phrase, picture, place >= OF_EACH))
    return tuple(made)


@pytest.fixture(scope="module")
def queries() -> list[tuple[str, bytes]]:
    return [(phrase, picture) for phrase, picture, is_query in things() if is_query]


@pytest.fixture(scope="module")
def filled(system: RunningSystem) -> Iterator[Client]:
    """A client of a system that holds pictures of things, each by what it is and a number."""
    with Client(system.address) as client:
        client.create_collection(COLLECTION, "hog", spaces={"colours": "color-hsv", "texture": "lbp"})
        stored = [(phrase, picture) for phrase, picture, is_query in things() if not is_query]
        job = client.ingest(COLLECTION, [(f"{phrase}/{n}", picture) for n, (phrase, picture) in enumerate(stored)])
        job.wait()
        assert job.failures == []
        yield client
        client.delete_collection(COLLECTION)


def precision(answers: list[SearchResult], queries: list[tuple[str, bytes]]) -> float:
    """Return the share of hits that are of their query's shape and colour."""
    right = [
        hit.image_id.partition("/")[0] == phrase
        for (phrase, _), hits in zip(queries, answers, strict=True)
        for hit in hits
    ]
    return sum(right) / len(right)


def test_both_together_find_what_neither_finds_alone(filled: Client, queries: list[tuple[str, bytes]]) -> None:
    alone = [
        precision([filled.search(COLLECTION, image=picture, space=space, limit=5) for _, picture in queries], queries)
        for space in FUSED
    ]
    for method in ("rrf", "weighted"):
        answers = [
            filled.search(COLLECTION, image=picture, fuse=FUSED, fuse_method=method, limit=5) for _, picture in queries
        ]
        assert precision(answers, queries) >= max(alone) + 0.2


@pytest.mark.parametrize("method", ["rrf", "weighted"])
def test_hits_tell_what_each_space_would_score(filled: Client, queries: list[tuple[str, bytes]], method: str) -> None:
    picture = queries[0][1]
    spaces = ("image", "colours", "texture")
    result = filled.search(COLLECTION, image=picture, fuse=spaces, fuse_method=method, limit=60)
    assert len(result) == 60
    assert result.coverage.complete
    assert result.timings.inference > 0
    for space in spaces:
        alone = {hit.image_id: hit.score for hit in filled.search(COLLECTION, image=picture, space=space, limit=60)}
        assert {hit.image_id: hit.scores[space] for hit in result} == pytest.approx(alone, abs=1e-3)
    pages = [
        filled.search(COLLECTION, image=picture, fuse=spaces, fuse_method=method, limit=13, offset=offset)
        for offset in range(0, 60, 13)
    ]
    assert [hit.image_id for page in pages for hit in page] == [hit.image_id for hit in result]


def test_an_image_is_searched_by_in_all_its_spaces(filled: Client) -> None:
    image_id = "green triangle/25"
    hits = filled.search(COLLECTION, image_id=image_id, fuse=FUSED, fuse_method="weighted")
    assert (hits[0].image_id, hits[0].score) == (image_id, pytest.approx(1))
    assert hits[0].scores == pytest.approx({"image": 1, "colours": 1}, abs=1e-3)
    bar = hits[3].scores["colours"]
    near = filled.search(COLLECTION, image_id=image_id, fuse=["image", FusedSpace("colours", min_score=bar)], limit=60)
    assert 0 < len(near) < 60
    assert min(hit.scores["colours"] for hit in near) >= bar
    best = filled.search(COLLECTION, image_id=image_id, fuse=FUSED, min_score=hits[0].score, fuse_method="weighted")
    assert [hit.image_id for hit in best] == [image_id]


def test_what_cannot_be_fused_is_refused(filled: Client, queries: list[tuple[str, bytes]]) -> None:
    with pytest.raises(SpaceNotFound, match="it has image, colours, texture"):
        filled.search(COLLECTION, image=queries[0][1], fuse=["image", "shapes"])
    with pytest.raises(NoTextTower, match="leave it out of the fusion"):
        filled.search(COLLECTION, text="a red circle", fuse=FUSED)
    with pytest.raises(InvalidRequest, match="must have a weight above 0"):
        filled.search(COLLECTION, image=queries[0][1], fuse={"image": 0, "colours": 0})
    with pytest.raises(InvalidRequest, match="fused twice"):
        filled.search(COLLECTION, image=queries[0][1], fuse=["image", "image"])


@pytest.mark.parametrize("embedding", RegionEmbedding)
def test_pictures_are_found_by_their_objects_and_as_a_whole(client: Client, embedding: RegionEmbedding) -> None:
    name = f"fused-{embedding}"
    client.create_collection(name, "color-hsv", regions=RegionSettings(NAME, embedding))
    pictures = {f"{n}": encode(make_scene(3_000_000 + n, (SCENE_SIDE, SCENE_SIDE)).picture, "PNG") for n in range(4)}
    pictures["nothing"] = encode(Image.new("RGB", (SCENE_SIDE, SCENE_SIDE), (90, 90, 90)), "PNG")
    job = client.ingest(name, list(pictures.items()))
    job.wait()
    assert job.failures == []
    for query in ({"image": pictures["2"]}, {"image_id": "2"}):
        hits = {hit.image_id: hit for hit in client.search(name, fuse=["image", "region"], regions=True, **query)}
        assert set(hits) == set(pictures)
        assert hits["2"].scores["image"] == pytest.approx(1, abs=1e-3)
        assert (set(hits["nothing"].scores), hits["nothing"].region) == ({"image"}, None)
        found = hits["2"].region
        assert found is not None
        assert found.box is not None
        assert found.region_id.startswith("2#")
    client.delete_collection(name)
