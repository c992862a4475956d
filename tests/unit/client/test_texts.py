"""Search by text and by several things at once, and classes of pictures, as the SDK asks for them."""

import asyncio
import struct

import numpy as np
import pytest

from pixvec.client import AsyncClient, Classification, Part
from pixvec.client.testing.store import embed
from pixvec.errors import InvalidRequest, InvalidVector, NoTextTower, PictureEmpty, PictureTooLarge


@pytest.fixture
def stored(client):
    client.ingest("photos", [("a", b"a"), ("b", b"b"), ("c", b"c")]).wait()
    return client


def ids(found):
    return [hit.image_id for hit in found]


def test_a_text_is_sent_as_it_is(stored, server):
    assert ids(stored.search("photos", text="b", limit=1)) == ["b"]
    stored.search("photos", text="ein rotes Auto – ü", space="clip", min_score=0.5)
    query = server.called("Query")[-1]
    assert (query.text, query.space, query.min_score) == ("ein rotes Auto – ü", "clip", 0.5)
    assert query.consistency == 2


def test_parts_are_weighed(stored, server, tmp_path):
    (tmp_path / "query.jpg").write_bytes(b"a")
    parts = [
        Part(image=tmp_path / "query.jpg"),
        Part(image_id="b", weight=-1),
        Part(text="c", weight=0.25),
        Part(vector=np.ones(8, np.float32), weight=0),
    ]
    found = stored.search("photos", combine=iter(parts), limit=3)
    sent = server.called("Query")[-1].combination.parts
    assert [part.WhichOneof("query") for part in sent] == ["image", "image_id", "text", "vector"]
    assert [part.weight for part in sent] == [1, -1, 0.25, 0]
    assert (sent[0].image, sent[3].vector.data) == (b"a", struct.pack("<8f", *[1] * 8))
    rows = np.array([embed(name) for name in (b"a", b"b", b"c")])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    scores = rows @ (rows[0] - rows[1] + 0.25 * rows[2])
    assert ids(found) == ["abc"[place] for place in np.argsort(-scores)]


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ([Part()], InvalidRequest, "a part needs exactly one of image, image_id, text and vector"),
        ([Part(text="a", image_id="b")], InvalidRequest, "a part needs exactly one"),
        (["a red car"], InvalidRequest, "combine takes Part values, not 'a red car'"),
        (Part(text="a"), InvalidRequest, "combine takes several parts: put the one in a list"),
        ([Part(text="a", weight="heavy")], InvalidRequest, "weight must be a number, not 'heavy'"),
        ([Part(text=b"bytes")], InvalidRequest, "text must be text"),
        ([Part(vector=["red"])], InvalidVector, "red|numbers"),
        ([Part(image=b"x" * (40 * 2**20))] * 2, PictureTooLarge, "the combination's pictures"),
    ],
)
def test_parts_that_can_never_work_are_refused_before_they_are_sent(stored, server, parts, error, message):
    with pytest.raises(error, match=message):
        stored.search("photos", combine=parts)
    assert server.called("Query") == []


def test_one_thing_is_searched_by(stored):
    with pytest.raises(InvalidRequest, match="exactly one of image, image_id, region_id, text, vector and combine"):
        stored.search("photos", text="a", image=b"a")
    with pytest.raises(InvalidRequest, match="exactly one of images, image_ids, texts and vectors"):
        stored.search_batch("photos", texts=["a"], image_ids=["a"])


def test_texts_are_answered_in_one_message(stored, server):
    found = stored.search_batch("photos", texts=(name for name in "cab"), limit=1)
    assert [hits.image_ids for hits in found] == [("c",), ("a",), ("b",)]
    assert len(server.called("QueryBatch")) == 1
    with pytest.raises(InvalidRequest, match="texts must be several, not the text 'cab'"):
        stored.search_batch("photos", texts="cab")


def test_pictures_are_classified_the_likeliest_label_first(stored, server, tmp_path):
    (tmp_path / "picture.jpg").write_bytes(b"b")
    found = stored.classify("photos", ["a", "b", "c"], images=[b"c", tmp_path / "picture.jpg"])
    assert [each.best for each in found] == ["c", "b"]
    assert list(found[0].probabilities) == sorted(found[0].probabilities, reverse=True)
    assert sum(found[0].values()) == pytest.approx(1)
    assert found[0]["c"] == max(found[0].values())
    assert found.exclusive
    stored.classify("photos", ["a"], image_ids=["a"], templates=["no {}"], space="clip")
    asked = server.called("Classify")[-1]
    assert (list(asked.image_ids.ids), list(asked.templates), asked.space) == (["a"], ["no {}"], "clip")
    assert (asked.consistency, asked.token.positions[0].seq) == (2, 3)


def test_a_classification_is_a_mapping_by_label():
    found = Classification(("cat", "dog"), (0.75, 0.25))
    assert (found.best, dict(found), found["dog"], len(found)) == ("cat", {"cat": 0.75, "dog": 0.25}, 0.25, 2)
    assert "bird" not in found
    with pytest.raises(KeyError, match="bird"):
        found["bird"]


def test_what_cannot_be_classified_is_said(stored, server):
    with pytest.raises(InvalidRequest, match="exactly one of images and image_ids"):
        stored.classify("photos", ["a"])
    with pytest.raises(InvalidRequest, match="labels must be several, not the text 'cat'"):
        stored.classify("photos", "cat", image_ids=["a"])
    for alone in (b"a picture", "picture.jpg"):
        with pytest.raises(InvalidRequest, match="images must be several pictures: put the one in a list"):
            stored.classify("photos", ["cat"], images=alone)
    assert server.called("Classify") == []
    with pytest.raises(PictureEmpty):
        stored.classify("photos", ["cat"], images=[b""])
    server.refuse("Query", NoTextTower("no space of photos takes texts", field="text"))
    with pytest.raises(NoTextTower, match="no space of photos") as caught:
        stored.search("photos", text="a")
    assert caught.value.field == "text"


def test_the_client_with_an_event_loop_asks_the_same(stored, server, tmp_path):
    (tmp_path / "query.jpg").write_bytes(b"a")

    async def work():
        async with AsyncClient(server.address) as client:
            assert ids(await client.search("photos", text="b", limit=1)) == ["b"]
            combined = [Part(image=tmp_path / "query.jpg", weight=2), Part(text="b")]
            assert ids(await client.search("photos", combine=combined, limit=1)) == ["a"]
            found = await client.search_batch("photos", texts=["c", "a"], limit=1)
            assert [hits.image_ids for hits in found] == [("c",), ("a",)]
            classified = await client.classify("photos", ["a", "b"], images=[tmp_path / "query.jpg", b"b"])
            assert [each.best for each in classified] == ["a", "b"]

    asyncio.run(work())
