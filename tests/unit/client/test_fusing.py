"""Several spaces at once, as the SDK asks for them. In a further space of the fake store, pictures look otherwise."""

import asyncio
import struct

import pytest

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.client import AsyncClient, FusedSpace, FusionMethod
from pixvec.client.testing.fusion import content_vector
from pixvec.client.testing.store import cosine, embed
from pixvec.errors import InvalidRequest, NoTextTower, SpaceNotFound

PICTURES = {"farm": b"cow dog cat", "pets": b"cat dog fish", "sea": b"boat fish", "blank": b" "}
BOTH = {"image": 1.0, "colours": 0.5}


@pytest.fixture
def stored(client):
    client.create_collection("scenes", regions="words", spaces={"colours": "hues"})
    client.ingest("scenes", list(PICTURES.items()), attributes=lambda image_id: {"name": image_id}).wait()
    return client


def truth(content, space):
    """Return the score of each picture in one space."""
    return {
        image_id: cosine(content_vector(content, space), content_vector(own, space))
        for image_id, own in PICTURES.items()
    }


def test_hits_tell_their_score_in_every_space(stored):
    result = stored.search("scenes", image=b"boat fish", fuse=BOTH, attributes=True)
    assert result[0].image_id == "sea"
    assert len(result) == len(PICTURES)
    assert result.space == ""
    for hit in result:
        told = {space: truth(b"boat fish", space)[hit.image_id] for space in BOTH}
        assert hit.scores == pytest.approx(told, abs=1e-6)
        assert hit.attributes == {"name": hit.image_id}
    assert result[0].score == pytest.approx(1.5 / 61)


def test_scores_are_weighed_when_asked_for(stored):
    hits = stored.search("scenes", image_id="pets", fuse=BOTH, fuse_method="weighted")
    colours, image = truth(PICTURES["pets"], "colours"), truth(PICTURES["pets"], "image")
    for hit in hits:
        mean = (share(image, hit.image_id) + 0.5 * share(colours, hit.image_id)) / 1.5
        assert hit.score == pytest.approx(mean, abs=1e-6)
    assert hits[0].image_id == "pets"
    assert hits[0].score == pytest.approx(1)


def share(scores, image_id):
    """Return where a score lies between the least and the best."""
    return (scores[image_id] - min(scores.values())) / (max(scores.values()) - min(scores.values()))


@pytest.mark.parametrize(
    "fuse", [{"image": 1, "colours": 1}, ["image", "colours"], [FusedSpace("image"), "colours"], ("image", "colours")]
)
def test_spaces_are_named_in_any_way(stored, server, fuse):
    stored.search("scenes", image=b"cat", fuse=fuse, rrf_k=7)
    spaces = [pb.Fusion.Space(space=space, weight=1) for space in ("image", "colours")]
    assert server.called("Query")[-1].fusion == pb.Fusion(spaces=spaces, method=1, rrf_k=7)


def test_a_space_may_have_a_threshold_of_its_own(stored, server):
    spaces = [FusedSpace("image", 0.25), FusedSpace("region", min_score=0.99)]
    hits = stored.search("scenes", image=b"fish", fuse=spaces, fuse_method=FusionMethod.WEIGHTED, regions=True)
    assert {hit.image_id: hit.region.region_id for hit in hits} == {"pets": "pets#2", "sea": "sea#1"}
    assert hits[0].region.class_name == "fish"
    sent = server.called("Query")[-1].fusion
    assert (sent.method, sent.spaces[0].weight, sent.spaces[0].HasField("min_score")) == (2, 0.25, False)
    assert sent.spaces[1].min_score == pytest.approx(0.99)


def test_a_picture_without_any_object_has_no_score_there(stored):
    hits = {hit.image_id: hit for hit in stored.search("scenes", image=b"fish", fuse=["image", "region"])}
    assert set(hits["blank"].scores) == {"image"}
    assert hits["blank"].region is None
    assert hits["sea"].region.region_id == "sea#1"


def test_plain_searches_name_no_spaces(stored, server):
    hits = stored.search("scenes", image=b"cat", limit=1)
    assert hits[0].scores == {}
    assert not server.called("Query")[-1].HasField("fusion")


@pytest.mark.parametrize(
    ("fuse", "message"),
    [
        ("image", "several spaces, not 'image': put the one in a list"),
        (FusedSpace("image"), "put the one in a list"),
        (5, "weights by the names of spaces"),
        ([5], "fuse must be text"),
        ({"image": "much"}, "fuse must be a number"),
        ([FusedSpace("image", min_score="low")], "fuse must be a number"),
    ],
)
def test_what_names_no_spaces_is_refused(client, fuse, message):
    with pytest.raises(InvalidRequest, match=message) as caught:
        client.search("photos", image=b"a", fuse=fuse)
    assert caught.value.field == "fuse"


@pytest.mark.parametrize("given", [{"space": "image"}, {"box": (0, 0, 1, 1)}])
def test_a_search_is_of_one_space_or_of_several(client, given):
    with pytest.raises(InvalidRequest, match="leave space, box and region_id out"):
        client.search("photos", image=b"a", fuse=["image"], **given)
    with pytest.raises(InvalidRequest, match="leave space, box and region_id out"):
        client.search("photos", region_id="a#0", fuse=["image"])


def test_how_they_are_fused_is_one_of_two(client):
    with pytest.raises(InvalidRequest, match="fuse_method must be one of rrf, weighted, not 'best'"):
        client.search("photos", image=b"a", fuse=["image"], fuse_method="best")


def test_what_cannot_be_fused_is_told(stored):
    with pytest.raises(SpaceNotFound):
        stored.search("scenes", image=b"a", fuse=["image", "shapes"])
    with pytest.raises(NoTextTower, match="leave it out"):
        stored.search("scenes", text="fish", fuse=["image", "colours"])
    assert stored.search("scenes", text="boat fish", fuse=["image"])[0].image_id == "sea"
    vector = struct.pack("<8f", *embed(b"boat fish"))
    assert stored.search("scenes", vector=vector, fuse=["image"])[0].image_id == "sea"


def test_it_is_the_same_with_an_event_loop(stored, server):
    async def search():
        async with AsyncClient(server.address) as client:
            return await asyncio.gather(
                client.search("scenes", image=b"cat", fuse=BOTH, fuse_method="weighted"),
                client.search("scenes", vector=struct.pack("<8f", *embed(b"cat")), fuse=["image"], rrf_k=3),
            )

    weighted, by_vector = asyncio.run(search())
    assert weighted.hits == stored.search("scenes", image=b"cat", fuse=BOTH, fuse_method="weighted").hits
    assert by_vector.hits[0].score == pytest.approx(1 / 4)
    assert by_vector.hits[0].scores
