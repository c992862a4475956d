"""FindDuplicates over twins in memory, where a picture is its words: one lies in another that has all of them."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
from google.protobuf import text_format

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.blobs.store import path_of
from pixvec.catalogue.interfaces import EmbeddedItem, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import MatchKind, OnDuplicate, OnExisting, RegionSettings
from pixvec.errors import (
    CollectionNotFound,
    DatabaseUnavailable,
    EmbedderUnavailable,
    ImageNotFound,
    Overloaded,
    PictureNotRecognised,
    PixvecError,
)
from pixvec.rpc.comparer import MemoryComparer
from pixvec.rpc.validation import RulesBroken, check
from services.gateway.duplicate_converters import to_duplicates_response
from services.gateway.duplicates import DuplicatesQuery
from services.gateway.matching import Matching, QueryPicture
from services.gateway.query import Deadline, Query
from services.gateway.query_converters import to_query_response
from tests.fake_time import in_fake_time
from tests.in_loop import in_loop
from tests.unit.gateway.reading import ReadSide

EXACT, NEAR, SIMILAR = MatchKind.EXACT, MatchKind.NEAR_DUPLICATE, MatchKind.SIMILAR


@pytest.fixture
def side() -> ReadSide:
    side = ReadSide(regions=RegionSettings("words"))
    side.put_words(boat="boat lake sky", crop="lake sky", lake="lake", car="car road")
    return side


async def find(side: ReadSide, **asked: object):
    return await side.duplicates.find(DuplicatesQuery("photos", **asked), Deadline(30))


def kinds(answer) -> dict[str, MatchKind]:
    return {hit.image_id: answer.matches[hit.image_id].kind for hit in answer.hits}


@in_loop
async def test_copies_come_before_what_is_merely_near(side: ReadSide) -> None:
    answer = await find(side, image=b"lake sky")
    assert [hit.image_id for hit in answer.hits][:3] == ["crop", "boat", "lake"]
    assert kinds(answer) == {"crop": EXACT, "boat": NEAR, "lake": NEAR, "car": SIMILAR}
    assert [answer.matches[hit.image_id].inliers for hit in answer.hits] == [0, 2, 1, 0]
    assert (answer.compared, answer.matches_missing, answer.space) == (3, False, "image")
    assert answer.timings.total > 0


@in_loop
async def test_where_the_query_lies_is_told_in_pixels_of_the_hit(side: ReadSide) -> None:
    answer = await find(side, image=b"lake sky")
    assert answer.matches["boat"].quad == ((0, 0), (30, 0), (30, 8), (0, 8))
    assert answer.matches["crop"].quad == ((0, 0), (20, 0), (20, 8), (0, 8))
    assert answer.matches["car"].quad == ()


@in_loop
async def test_a_stored_picture_is_none_of_its_own_duplicates(side: ReadSide) -> None:
    answer = await find(side, image_id="crop")
    assert kinds(answer) == {"boat": NEAR, "lake": NEAR, "car": SIMILAR}
    assert "embed_images" not in side.embedder.calls
    assert side.comparer.calls == ["compare"]


@in_loop
async def test_of_the_same_bytes_under_two_ids_each_finds_the_other(side: ReadSide) -> None:
    side.put_words(again="car road")
    assert kinds(await find(side, image_id="car"))["again"] is EXACT
    both = await find(side, image=b"car road", limit=2)
    assert kinds(both) == {"again": EXACT, "car": EXACT}


@in_loop
async def test_only_similar_pictures_are_cut_by_their_score(side: ReadSide) -> None:
    assert kinds(await find(side, image=b"lake sky", min_score=0.9999)) == {"crop": EXACT, "boat": NEAR, "lake": NEAR}
    assert kinds(await find(side, image=b"lake sky", limit=1)) == {"crop": EXACT}


def link(side: ReadSide, image_id: str, words: bytes, looks: int) -> None:
    """Take a picture in as a worker does, by a job that links duplicates."""
    jobs, key = side.catalogue.jobs, side.collection.collection_id
    job_id = jobs.create(key, OnExisting.REPLACE, on_duplicate=OnDuplicate.LINK).job_id
    jobs.add_items(job_id, [NewItem(0, image_id, {}, side.blobs.put(words), len(words))])
    leased = jobs.lease_next(job_id, "worker", 60)
    if leased is not None:
        [item] = leased.items
        done = EmbeddedItem(item, b"", item.content_hash, 1, "PNG", 20, 8)
        side.catalogue.feed_writer.commit(leased, [replace(done, perceptual_hash=looks)], [])


@in_loop
async def test_linked_images_are_found_by_their_bytes_and_by_their_looks(side: ReadSide) -> None:
    looks = await side.comparer.hash_image(b"pier", 1)
    link(side, "pier", b"pier", looks)
    link(side, "same bytes", b"pier", looks)
    link(side, "same looks", b"pier sea", looks ^ 3)
    answer = await find(side, image=b"pier")
    assert {name: kinds(answer)[name] for name in ("pier", "same bytes", "same looks")} == {
        "pier": EXACT,
        "same bytes": EXACT,
        "same looks": NEAR,
    }
    # A linked image has no vector: its original is searched by.
    side.put("pier")
    from_link = await find(side, image_id="same looks")
    assert {name: kinds(from_link)[name] for name in ("pier", "same bytes")} == {"pier": NEAR, "same bytes": NEAR}
    assert "same looks" not in kinds(from_link)


@in_loop
async def test_what_could_not_be_compared_is_similar_and_said_so(side: ReadSide) -> None:
    side.blobs.remove(path_of(hashlib.sha256(b"boat lake sky").hexdigest()))
    answer = await find(side, image=b"lake sky")
    assert (kinds(answer)["boat"], kinds(answer)["lake"]) == (SIMILAR, NEAR)
    assert (answer.compared, answer.matches_missing) == (2, True)


@in_loop
async def test_without_a_worker_that_compares_hits_are_similar(side: ReadSide) -> None:
    async def gone(*_: object) -> None:
        raise EmbedderUnavailable("no worker answers")

    side.comparer.compare = gone
    answer = await find(side, image_id="crop")
    assert set(kinds(answer).values()) == {SIMILAR}
    assert (answer.compared, answer.matches_missing) == (0, True)


@in_loop
async def test_what_cannot_be_found_or_read_is_an_error(side: ReadSide) -> None:
    with pytest.raises(ImageNotFound):
        await find(side, image_id="nobody")
    with pytest.raises(PictureNotRecognised):
        await find(side, image=b"bad picture")
    with pytest.raises(CollectionNotFound):
        await side.duplicates.find(DuplicatesQuery("nothing", image=b"lake"), Deadline(30))


@in_loop
async def test_a_picture_that_cannot_be_looked_at_ends_the_search(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def embed(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(side.embedder, "embed_images", embed)
    with pytest.raises(PictureNotRecognised):
        await find(side, image=b"bad picture")
    await ended.wait()


@in_loop
async def test_the_answer_travels(side: ReadSide) -> None:
    response = to_duplicates_response(await find(side, image=b"lake sky", limit=2))
    exact, near = response.hits
    assert (exact.image_id, exact.match.kind, len(exact.match.quad)) == ("crop", 1, 4)
    assert (near.image_id, near.match.kind, near.match.inliers) == ("boat", 2, 2)
    assert [(point.x, point.y) for point in near.match.quad] == [(0, 0), (30, 0), (30, 8), (0, 8)]
    assert (response.compared, response.coverage.shards_answered) == (3, 1)


@pytest.mark.parametrize("asked", [{"image": b"lake sky"}, {"image_id": "crop"}])
@in_loop
async def test_hits_of_a_search_can_be_told_apart_too(side: ReadSide, asked: dict[str, object]) -> None:
    query = Query("photos", match=True, limit=4, **asked)
    answer = await side.duplicates.label(query, await side.queries.run(query, Deadline(30)), Deadline(30))
    assert {name: match.kind for name, match in answer.matches.items()} == {
        "crop": EXACT,
        "boat": NEAR,
        "lake": NEAR,
        "car": SIMILAR,
    }
    hits = {hit.image_id: hit for hit in to_query_response(answer).hits}
    assert (hits["boat"].match.inliers, hits["car"].match.kind) == (2, 3)


@pytest.mark.parametrize("error", [DatabaseUnavailable("down"), Overloaded("busy"), ImageNotFound("gone")])
@in_loop
async def test_hits_that_are_found_are_given_without_the_metadata_store(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch, error: PixvecError
) -> None:
    query = Query("photos", match=True, image_id="crop")
    found = await side.queries.run(query, Deadline(30))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(side.catalogue.images, "get", fail)
    answer = await side.duplicates.label(query, found, Deadline(30))
    assert answer.hits == found.hits
    assert answer.matches_missing
    assert {match.kind for match in answer.matches.values()} == {SIMILAR}


@in_loop
async def test_comparing_leaves_time_for_the_way_back(side: ReadSide) -> None:
    given: list[float] = []

    async def busy(*asked: float) -> None:
        given.extend(asked[2:])
        raise EmbedderUnavailable("no worker answers")

    side.comparer.compare = busy
    await find(side, image_id="crop")
    limit_s, timeout_s = given
    assert limit_s == 10
    assert 20 < timeout_s < 27.1


@in_fake_time
async def test_hits_do_not_wait_for_a_metadata_store_that_hangs() -> None:
    class Hanging:
        async def read(self, *_: object) -> None:
            await asyncio.Event().wait()

    matching = Matching(in_memory().images, MemoryComparer(dict[str, bytes]().__getitem__), Hanging())
    matches = await matching.match_ids(1, QueryPicture("ab"), ["a"], Deadline(3000))
    assert (matches.by_id["a"].kind, matches.missing) == (SIMILAR, True)
    assert asyncio.get_running_loop().time() == 2


@pytest.mark.parametrize(
    "query", ['image: "a" box { x2: 1 y2: 1 }', 'text: "a"', 'vector { data: "abcd" }', 'region_id: "a#0"']
)
def test_only_whole_pictures_are_matched(query: str) -> None:
    with pytest.raises(RulesBroken, match="match is for a whole picture: image or image_id without a box"):
        check(text_format.Parse(f'collection: "photos" {query} include {{ match: true }}', pb.QueryRequest()))
    check(text_format.Parse(f'collection: "photos" {query} include {{ attributes: true }}', pb.QueryRequest()))


@pytest.mark.parametrize("query", ['image: "a"', 'image_id: "a"'])
def test_objects_of_scenes_are_not_matched(query: str) -> None:
    asked = f'collection: "photos" {query} include {{ match: true }}'
    check(text_format.Parse(asked, pb.QueryRequest()))
    with pytest.raises(RulesBroken, match="use FindDuplicates"):
        check(text_format.Parse(asked, pb.QuerySceneRequest()))


@in_loop
async def test_hits_that_the_catalogue_does_not_know_are_not_compared(side: ReadSide) -> None:
    side.put("stray")
    query = Query("photos", match=True, image=b"lake sky")
    answer = await side.duplicates.label(query, await side.queries.run(query, Deadline(30)), Deadline(30))
    assert answer.matches["stray"].kind is SIMILAR
    assert answer.matches_missing
