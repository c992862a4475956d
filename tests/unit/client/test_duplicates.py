"""Copies of pictures, as the SDK asks for them: a picture lies in another whose bytes hold all of its own."""

import asyncio

import pytest

from pixvec.api.v1 import image_service_pb2, job_service_pb2
from pixvec.client import AsyncClient, Match, MatchKind, OnDuplicate
from pixvec.domain import ImageState
from pixvec.errors import CollectionNotFound, ImageNotFound, InvalidRequest

PICTURES = [("whole", b"lake and sky"), ("copy", b"lake and sky"), ("part", b"lake"), ("other", b"a car")]
CORNERS = ((0, 0), (100, 0), (100, 100), (0, 100))


@pytest.fixture
def stored(client):
    client.ingest("photos", PICTURES).wait()
    return client


def test_copies_come_first_each_with_what_it_is(stored):
    found = stored.find_duplicates("photos", image=b"lake and sky")
    assert [(hit.image_id, hit.match) for hit in found] == [
        ("copy", Match(MatchKind.EXACT, 0, CORNERS)),
        ("whole", Match(MatchKind.EXACT, 0, CORNERS)),
        ("part", Match(MatchKind.NEAR_DUPLICATE, 4, CORNERS)),
        ("other", Match(MatchKind.SIMILAR)),
    ]
    assert (found.compared, found.matches_missing, found.space) == (2, False, "image")
    assert found.coverage.complete


def test_an_image_is_none_of_its_own_duplicates(stored, server, tmp_path):
    found = stored.find_duplicates("photos", image_id="whole", limit=2, min_score=0.5)
    assert [hit.image_id for hit in found] == ["copy", "part"]
    asked = server.called("FindDuplicates")[-1]
    assert (asked.image_id, asked.limit, asked.min_score) == ("whole", 2, 0.5)
    file = tmp_path / "car.jpg"
    file.write_bytes(b"a car")
    assert stored.find_duplicates("photos", image=file)[0].image_id == "other"


def test_it_sees_what_this_client_wrote(stored, server):
    stored.find_duplicates("photos", image=b"lake")
    assert server.called("FindDuplicates")[-1].token.positions
    stored.find_duplicates("photos", image=b"lake", consistency="eventual")
    assert not server.called("FindDuplicates")[-1].token.positions


def test_hits_of_a_search_are_told_apart_when_asked(stored):
    found = stored.search("photos", image=b"lake and sky", match=True)
    kinds = {hit.image_id: hit.match.kind for hit in found}
    assert kinds == {"copy": "exact", "whole": "exact", "part": "near_duplicate", "other": "similar"}
    assert {hit.match for hit in stored.search("photos", image=b"lake and sky")} == {None}


def test_the_async_client_finds_them_too(stored, server):
    async def ask():
        async with AsyncClient(server.address) as remote:
            found = await remote.find_duplicates("photos", image=b"lake")
            searched = await remote.search("photos", image_id="part", match=True, limit=1)
            return [hit.image_id for hit in found][:3], searched[0].match.kind

    assert asyncio.run(ask()) == (["part", "copy", "whole"], MatchKind.EXACT)


@pytest.mark.parametrize("given", [{}, {"image": b"lake", "image_id": "part"}])
def test_one_picture_is_named(stored, given):
    with pytest.raises(InvalidRequest, match="exactly one of image and image_id"):
        stored.find_duplicates("photos", **given)


def test_what_is_not_there_is_an_error(stored):
    with pytest.raises(ImageNotFound):
        stored.find_duplicates("photos", image_id="nobody")
    with pytest.raises(CollectionNotFound):
        stored.find_duplicates("nothing", image=b"lake")


def test_duplicates_are_linked(client):
    job = client.ingest("photos", PICTURES, on_duplicate=OnDuplicate.LINK).wait()
    assert (job.failures, job.counts.indexed, job.counts.linked) == ([], 4, 1)
    copy = client.get_image("photos", "copy")
    assert (copy.state, copy.duplicate_of) == (ImageState.LINKED, "whole")
    assert "copy" not in {hit.image_id for hit in client.search("photos", image=b"lake and sky")}
    assert client.get_image("photos", "whole").duplicate_of == ""


def test_duplicates_are_rejected(client):
    [failure] = client.ingest("photos", PICTURES, on_duplicate="reject").wait().failures
    assert (failure.image_id, failure.error.reason) == ("copy", "DUPLICATE_IMAGE")


def test_the_policy_goes_with_jobs_by_reference_too(client, server):
    client.ingest_uri("photos", "file:///pictures", on_duplicate="link")
    asked = server.called("CreateIngest")[-1]
    assert isinstance(asked, job_service_pb2.CreateIngestRequest)
    assert asked.on_duplicate == image_service_pb2.ON_DUPLICATE_LINK
    with pytest.raises(InvalidRequest, match="on_duplicate"):
        client.ingest_uri("photos", "file:///pictures", on_duplicate="merge")
