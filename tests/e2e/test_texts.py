"""Scenes are found by their captions, by pictures and texts together, and told apart by labels, through the SDK."""

from collections.abc import Iterator

import numpy as np
import pytest

from pixvec.client import Client, Part
from pixvec.embedded.running import RunningSystem
from pixvec.errors import InvalidRequest, NoTextTower
from tests.e2e.conftest import TOWERS
from tests.pictures import encode, make_jpeg
from tests.scenes import COLOURS, Scene, scenes
from tests.towers import THINGS

# None of those that the model was trained on.
UNSEEN = range(1_000_000, 1_000_100)
COLLECTION = "scenes"
# The harder case of the two; the easy one would take as long again.
pytestmark = pytest.mark.parametrize("system", [3], indirect=True, ids=["3-shards"])


@pytest.fixture(scope="module")
def unseen() -> list[Scene]:
    return list(scenes(UNSEEN, things=THINGS))


@pytest.fixture(scope="module")
def filled(system: RunningSystem, unseen: list[Scene]) -> Iterator[Client]:
    """A client of a system that holds the unseen scenes, each by the number of its place."""
    with Client(system.address) as client:
        made = client.create_collection(COLLECTION, model=TOWERS)
        assert made.spaces[0].takes_text
        job = client.ingest(
            COLLECTION, [(f"{place}", encode(each.picture, "PNG")) for place, each in enumerate(unseen)]
        )
        job.wait()
        assert job.failures == []
        yield client
        client.delete_collection(COLLECTION)


def test_captions_find_their_scenes(filled: Client, unseen: list[Scene]) -> None:
    answers = filled.search_batch(COLLECTION, texts=[scene.caption for scene in unseen], limit=5)
    found = [f"{place}" in hits.image_ids for place, hits in enumerate(answers)]
    assert np.mean(found) >= 0.8
    alone = filled.search(COLLECTION, text=unseen[0].caption, limit=5)
    assert tuple(hit.image_id for hit in alone) == answers[0].image_ids
    assert alone.timings.inference > 0


def test_a_picture_and_a_text_are_weighed_against_each_other(filled: Client, unseen: list[Scene]) -> None:
    picture, text = encode(unseen[3].picture, "PNG"), unseen[4].caption
    by_picture = filled.search(COLLECTION, image=picture, limit=3)
    by_text = filled.search(COLLECTION, text=text, limit=3)

    def both(picture_weight: float, text_weight: float) -> list[str]:
        parts = [Part(image=picture, weight=picture_weight), Part(text=text, weight=text_weight)]
        return [hit.image_id for hit in filled.search(COLLECTION, combine=parts, limit=3)]

    assert both(1, 0) == [hit.image_id for hit in by_picture]
    assert both(0, 1) == [hit.image_id for hit in by_text]
    stored = filled.search(COLLECTION, combine=[Part(image_id="3"), Part(image_id="4", weight=1e-4)], limit=1)
    assert stored[0].image_id == "3"


def test_colours_are_told_by_their_names(filled: Client) -> None:
    alone = list(scenes(range(2_000_000, 2_000_040), things=(1, 1)))
    templates = [
        f"a {{}} {shape} at the {y} {x}"
        for shape in ("circle", "square")
        for y in ("top", "bottom")
        for x in ("left", "right")
    ]
    told = filled.classify(
        COLLECTION, COLOURS, images=[encode(scene.picture, "PNG") for scene in alone], templates=templates
    )
    right = [each.best == scene.things[0].colour for each, scene in zip(told, alone, strict=True)]
    # One in eight by chance.
    assert np.mean(right) >= 0.6
    assert told.exclusive
    assert all(sum(each.values()) == pytest.approx(1, abs=1e-4) for each in told)


def test_images_of_the_collection_are_classified_as_their_pictures_are(filled: Client, unseen: list[Scene]) -> None:
    sent = filled.classify(COLLECTION, COLOURS, images=[encode(scene.picture, "PNG") for scene in unseen[:5]])
    stored = filled.classify(COLLECTION, COLOURS, image_ids=[f"{place}" for place in range(5)])
    for by_picture, by_id in zip(sent, stored, strict=True):
        # The stored vectors are of half precision.
        assert dict(by_id) == pytest.approx(dict(by_picture), abs=0.02)


@pytest.mark.parametrize("text", ["", " \n\t", "x" * 2001])
def test_texts_that_say_nothing_or_too_much_name_the_field(filled: Client, text: str) -> None:
    for field, ask in {
        "text": lambda: filled.search(COLLECTION, text=text),
        "combination.parts[1].text": lambda: filled.search(COLLECTION, combine=[Part(image_id="1"), Part(text=text)]),
        "texts.texts[1]": lambda: filled.search_batch(COLLECTION, texts=["a circle", text]),
    }.items():
        with pytest.raises(InvalidRequest, match=r"must have a word in it|must be at most 2000 characters") as caught:
            ask()
        assert caught.value.field == field


def test_the_longest_text_is_cut_to_what_the_model_reads(filled: Client) -> None:
    assert len(filled.search(COLLECTION, text="a red circle " + "x" * 1987)) == 10


@pytest.mark.parametrize("weights", [(0, 0), (-1, -0.5), (0, -1), (float("nan"), 1), (1e9, 1)])
def test_weights_that_can_never_work(filled: Client, weights: tuple[float, float]) -> None:
    first, second = weights
    with pytest.raises(InvalidRequest, match="weight"):
        filled.search(COLLECTION, combine=[Part(text="a circle", weight=first), Part(image_id="1", weight=second)])


def test_parts_that_cancel_each_other_out(filled: Client) -> None:
    with pytest.raises(InvalidRequest, match="cancel each other out"):
        filled.search(COLLECTION, combine=[Part(text="a circle"), Part(text="a circle", weight=-1)])


@pytest.mark.parametrize(
    ("labels", "templates", "message"),
    [
        ([], [], "labels"),
        (["cat", "cat"], [], "unique"),
        (["cat", " "], [], "must have a word in it"),
        (["cat"], ["a cat"], "must have one {} where the label goes"),
        (["cat"], ["{} or {}"], "must have one {} where the label goes"),
        ([str(number) for number in range(1001)], [], "1000"),
        ([str(number) for number in range(1000)], [f"{number} {{}}" for number in range(11)], "at most 10000"),
    ],
)
def test_what_makes_no_classes(filled: Client, labels: list[str], templates: list[str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        filled.classify(COLLECTION, labels, image_ids=["1"], templates=templates)


def test_a_space_without_a_text_tower_says_what_has_one(client: Client, collection: str) -> None:
    client.ingest(collection, [("one", make_jpeg(1))]).wait()
    for ask in (
        lambda: client.search(collection, text="a red car"),
        lambda: client.search(collection, text="a red car", space="image"),
        lambda: client.search(collection, combine=[Part(image_id="one"), Part(text="by night")]),
        lambda: client.search_batch(collection, texts=["a red car"]),
        lambda: client.classify(collection, ["car"], image_ids=["one"]),
    ):
        with pytest.raises(NoTextTower, match=r"hog-color\): make a collection with a model of .* open_clip:NAME/TAG"):
            ask()
