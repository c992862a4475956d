"""Pictures are compared by the workers: stored ones and those that somebody sends, as far as time goes."""

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest

from pixvec.blobs.store import MemoryBlobStore
from pixvec.errors import ContentNotFound, FailedPrecondition, Overloaded, PictureNotRecognised, Unavailable
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.vision.perceptual_hash import distance
from tests.copies import part_of
from tests.in_loop import in_loop
from tests.pictures import encode
from tests.scenes import make_scene
from workers.batcher import Batcher
from workers.comparing import Comparing
from workers.decode_pool import InlineDecoder
from workers.embedder import EmbedderService

SCENES = [make_scene(seed, (320, 240)).picture for seed in range(3)]
PART, BOX = part_of(SCENES[0], 0.5, np.random.default_rng(2))


@pytest.fixture
def blobs() -> MemoryBlobStore:
    return MemoryBlobStore()


@pytest.fixture
def hashes(blobs: MemoryBlobStore) -> list[str]:
    return [blobs.put(encode(picture)) for picture in SCENES]


def service(blobs: MemoryBlobStore, decoder: InlineDecoder | None = None) -> EmbedderService:
    decoder = decoder or InlineDecoder()
    return EmbedderService(None, decoder, Batcher(1), Comparing(decoder, blobs))


async def compare(service: EmbedderService, **request: object) -> list[pb.Comparison]:
    answer = await service.CompareImages(pb.CompareImagesRequest(**{"limit_seconds": 30.0} | request), None)
    return list(answer.comparisons)


@in_loop
async def test_a_part_is_found_in_the_picture_it_was_cut_from(blobs: MemoryBlobStore, hashes: list[str]) -> None:
    found, *others = await compare(service(blobs), image=encode(PART), candidates=hashes)
    assert found.compared
    assert found.inliers >= 8
    corners = np.array(found.quad_xy).reshape(4, 2) * SCENES[0].size
    left, top, right, bottom = BOX
    assert corners == pytest.approx(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), abs=3)
    assert [(each.compared, each.inliers, list(each.quad_xy)) for each in others] == [(True, 0, [])] * 2


@in_loop
async def test_a_stored_picture_is_compared_by_its_hash(blobs: MemoryBlobStore, hashes: list[str]) -> None:
    found = await compare(service(blobs), content_hash=hashes[1], candidates=hashes)
    assert [each.inliers > 0 for each in found] == [False, True, False]


@in_loop
async def test_what_cannot_be_had_was_not_compared(blobs: MemoryBlobStore, hashes: list[str]) -> None:
    broken = blobs.put(encode(SCENES[0])[:2000])
    found = await compare(service(blobs), image=encode(PART), candidates=["0" * 64, broken, hashes[0]])
    assert [each.compared for each in found] == [False, False, True]


@in_loop
async def test_a_stored_picture_that_cannot_be_read_leaves_the_others_compared(
    blobs: MemoryBlobStore, hashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    get = blobs.get

    def get_all_but_one(content_hash: str) -> bytes:
        if content_hash == hashes[1]:
            raise Unavailable("the disk does not answer")
        return get(content_hash)

    monkeypatch.setattr(blobs, "get", get_all_but_one)
    found = await compare(service(blobs), image=encode(PART), candidates=hashes)
    assert [each.compared for each in found] == [True, False, True]


class Stuck(InlineDecoder):
    """Never renders the pictures of these bytes."""

    def __init__(self, *contents: bytes) -> None:
        super().__init__()
        self._contents = contents
        self.waiting: list[Future[bytes]] = []
        self.asked = asyncio.Event()

    def thumbnail(self, content: bytes, max_side: int) -> "Future[bytes]":
        if content not in self._contents:
            return super().thumbnail(content, max_side)
        self.waiting.append(Future())
        self.asked.set()
        return self.waiting[-1]


@in_loop
async def test_when_time_is_up_what_is_done_is_told(
    blobs: MemoryBlobStore, hashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, wait = Stuck(encode(SCENES[1])), asyncio.wait

    async def until_the_first_is_done(futures: list["asyncio.Future[object]"], **limit: float) -> None:
        _, first, second = futures
        assert limit == {"timeout": 30.0}
        await wait([first])
        await decoder.asked.wait()
        assert not second.done()

    monkeypatch.setattr(asyncio, "wait", until_the_first_is_done)
    found = await compare(service(blobs, decoder), image=encode(PART), candidates=hashes[:2])
    assert [each.compared for each in found] == [True, False]
    assert [each.cancelled() for each in decoder.waiting] == [True]


@in_loop
async def test_a_query_that_is_not_looked_at_in_time_compares_nothing(
    blobs: MemoryBlobStore, hashes: list[str]
) -> None:
    decoder = Stuck(encode(PART))
    found = await compare(service(blobs, decoder), image=encode(PART), candidates=hashes, limit_seconds=0.01)
    assert [each.compared for each in found] == [False] * 3


@in_loop
async def test_no_picture_to_look_for_is_an_error(blobs: MemoryBlobStore, hashes: list[str]) -> None:
    with pytest.raises(PictureNotRecognised):
        await compare(service(blobs), image=b"no picture", candidates=hashes)
    with pytest.raises(ContentNotFound):
        await compare(service(blobs), content_hash="0" * 64, candidates=hashes)


class Full(InlineDecoder):
    def thumbnail(self, content: bytes, max_side: int) -> "Future[bytes]":
        raise Overloaded("no place left")


@in_loop
async def test_no_room_for_the_query_is_told(blobs: MemoryBlobStore, hashes: list[str]) -> None:
    with pytest.raises(Overloaded):
        await compare(service(blobs, Full()), image=encode(PART), candidates=hashes)


@in_loop
async def test_the_hash_of_a_picture(blobs: MemoryBlobStore) -> None:
    async def hash_of(content: bytes) -> pb.HashImageResponse:
        return await service(blobs).HashImage(pb.HashImageRequest(image=content), None)

    one, copy, other = await asyncio.gather(
        hash_of(encode(SCENES[0])), hash_of(encode(SCENES[0], quality=60)), hash_of(encode(SCENES[1]))
    )
    assert distance(one.perceptual_hash, copy.perceptual_hash) <= 3
    assert distance(one.perceptual_hash, other.perceptual_hash) > 3
    plain = await hash_of(encode(SCENES[0].resize((1, 1))))
    assert not plain.HasField("perceptual_hash")


@in_loop
async def test_a_model_host_without_pictures_says_so(hashes: list[str]) -> None:
    alone = EmbedderService(None, InlineDecoder(), Batcher(1))
    with pytest.raises(FailedPrecondition, match="no blob store"):
        await compare(alone, image=encode(PART), candidates=hashes)


class Counting(InlineDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.rendered: list[bytes] = []

    def thumbnail(self, content: bytes, max_side: int) -> "Future[bytes]":
        self.rendered.append(content)
        return super().thumbnail(content, max_side)


@in_loop
async def test_stored_pictures_that_were_looked_at_last_are_remembered(
    blobs: MemoryBlobStore, hashes: list[str]
) -> None:
    decoder = Counting()
    comparing = Comparing(decoder, blobs, kept=2)
    for candidates in (hashes[:2], hashes[:2], hashes[2:], hashes[:2]):
        found = await comparing.compare(hashes[0], candidates, 30.0)
        assert [each is not None and each.copy is not None for each in found] == [
            each == hashes[0] for each in candidates
        ]
    times = [decoder.rendered.count(encode(picture)) for picture in SCENES]
    # The query is used every time, and the others make way for one another.
    assert (times[0] <= 2, times[1:]) == (True, [2, 1])
