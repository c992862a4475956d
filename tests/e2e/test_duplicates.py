"""Copies of pictures against the running system: found, linked, rejected, and never lost."""

import asyncio
import time
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from pixvec.client import AsyncClient, Client, MatchKind, OnDuplicate
from pixvec.domain import ImageState
from pixvec.embedded.running import RunningSystem
from pixvec.errors import ImageNotFound, PictureError
from tests.copies import LIKE, part_of
from tests.pictures import encode
from tests.scenes import make_scene

SIZE = (480, 360)
SCENES = [make_scene(seed, SIZE, things=(2, 4)) for seed in range(8)]
PICTURES = {f"scene-{seed}": encode(scene.picture, quality=92) for seed, scene in enumerate(SCENES)}
PART, BOX = part_of(SCENES[2].picture, 0.5, np.random.default_rng(1))
COPY = encode(SCENES[2].picture.resize((360, 270)), quality=70)
LIMIT_S = 60


@pytest.fixture
def filled(client: Client, collection: str) -> str:
    take_in(client, collection, PICTURES.items())
    return collection


@pytest.fixture(scope="module")
def only_read(system: RunningSystem) -> Iterator[str]:
    """A collection of the same pictures, for tests that change nothing."""
    with Client(system.address) as client:
        client.create_collection("originals", model="hog-color")
        take_in(client, "originals", PICTURES.items())
        yield "originals"
        client.delete_collection("originals")


def take_in(
    client: Client, collection: str, pictures: Iterable[tuple[str, bytes]], policy: OnDuplicate = OnDuplicate.KEEP
) -> list[str]:
    """Take pictures in. Return why some were not."""
    job = client.ingest(collection, pictures, on_duplicate=policy)
    job.wait(timeout_s=LIMIT_S)
    return [failure.error.reason for failure in job.failures]


def test_copies_are_told_from_what_is_merely_similar(client: Client, filled: str) -> None:
    like = [(f"like-{n}", encode(change(SCENES[2], n))) for n, change in enumerate(LIKE.values())]
    take_in(client, filled, [("copy", COPY), ("again", PICTURES["scene-2"]), *like])
    found = client.find_duplicates(filled, image=PICTURES["scene-2"], limit=20)
    kinds = {hit.image_id: hit.match.kind for hit in found if hit.match}
    assert [hit.image_id for hit in found][:3] == ["again", "scene-2", "copy"]
    assert (kinds["again"], kinds["scene-2"], kinds["copy"]) == (
        MatchKind.EXACT,
        MatchKind.EXACT,
        MatchKind.NEAR_DUPLICATE,
    )
    assert {kind for name, kind in kinds.items() if name not in ("again", "scene-2", "copy")} == {MatchKind.SIMILAR}
    assert (found.compared, found.matches_missing, found.coverage.complete) == (11, False, True)


def test_a_part_is_found_where_it_was_cut_from(client: Client, only_read: str) -> None:
    [hit] = client.find_duplicates(only_read, image=encode(PART), limit=1)
    assert hit.match is not None
    assert (hit.image_id, hit.match.kind) == ("scene-2", MatchKind.NEAR_DUPLICATE)
    left, top, right, bottom = BOX
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    assert np.array(hit.match.quad) == pytest.approx(corners, abs=3)


def test_hits_of_a_search_are_told_apart_when_asked(client: Client, only_read: str) -> None:
    hits = {hit.image_id: hit for hit in client.search(only_read, image=COPY, match=True)}
    assert {name for name, hit in hits.items() if hit.match and hit.match.kind is MatchKind.NEAR_DUPLICATE} == {
        "scene-2"
    }
    assert all(hit.match is None for hit in client.search(only_read, image=COPY))


def test_the_async_client_finds_them_too(system: RunningSystem, client: Client, filled: str) -> None:
    async def ask() -> list[tuple[str, MatchKind]]:
        async with AsyncClient(system.address) as remote:
            found = await remote.find_duplicates(filled, image_id="scene-5", limit=3)
            return [(hit.image_id, hit.match.kind) for hit in found if hit.match]

    take_in(client, filled, [("same", PICTURES["scene-5"])])
    ids = asyncio.run(ask())
    assert ids[0] == ("same", MatchKind.EXACT)
    assert {kind for _, kind in ids[1:]} == {MatchKind.SIMILAR}


def test_duplicates_are_linked(client: Client, filled: str) -> None:
    assert take_in(client, filled, [("copy", COPY), ("same", PICTURES["scene-2"])], OnDuplicate.LINK) == []
    for name in ("copy", "same"):
        image = client.get_image(filled, name)
        assert (image.state, image.duplicate_of) == (ImageState.LINKED, "scene-2")
    assert client.get_content(filled, "copy") == COPY
    assert client.get_collection(filled).image_count == len(PICTURES)
    assert {hit.image_id for hit in client.search(filled, image=COPY, limit=20)} == set(PICTURES)
    assert {hit.image_id for hit in client.find_duplicates(filled, image=COPY, limit=3)} == {"copy", "same", "scene-2"}


def test_of_many_at_once_one_is_searched(client: Client, collection: str) -> None:
    jobs = [
        client.ingest(collection, [(f"{part}-{n}", COPY) for n in range(5)], on_duplicate="link") for part in range(4)
    ]
    for job in jobs:
        job.wait(timeout_s=LIMIT_S)
        assert job.failures == []
    [hit] = client.search(collection, image=COPY, limit=20)
    links = {client.get_image(collection, f"{part}-{n}").duplicate_of for part in range(4) for n in range(5)}
    assert links == {"", hit.image_id}


def test_duplicates_are_rejected(client: Client, filled: str) -> None:
    reasons = take_in(client, filled, [("copy", COPY), ("same", PICTURES["scene-2"])], OnDuplicate.REJECT)
    assert reasons == ["DUPLICATE_IMAGE"] * 2
    assert client.get_collection(filled).image_count == len(PICTURES)
    assert take_in(client, filled, PICTURES.items(), OnDuplicate.REJECT) == []


def test_a_duplicate_takes_the_place_of_a_deleted_original(client: Client, filled: str) -> None:
    take_in(client, filled, [("copy", COPY)], OnDuplicate.LINK)
    client.delete_images(filled, ["scene-2"])
    until = time.monotonic() + LIMIT_S
    while client.get_image(filled, "copy").state is not ImageState.INDEXED:
        assert time.monotonic() < until
        time.sleep(0.05)
    while client.search(filled, image=COPY, limit=1)[0].image_id != "copy":
        assert time.monotonic() < until
        time.sleep(0.05)


def test_no_picture_and_no_image_are_errors(client: Client, only_read: str) -> None:
    with pytest.raises(PictureError):
        client.find_duplicates(only_read, image=b"no picture")
    with pytest.raises(ImageNotFound):
        client.find_duplicates(only_read, image_id="nobody")
