"""What a worker commits tells copies: their hash is that of the whole picture, whatever the model sees of it."""

import pytest

from pixvec.domain import OnDuplicate, OnExisting
from pixvec.errors import Unavailable
from pixvec.vision.perceptual_hash import distance, perceptual_hash
from tests.pictures import encode
from tests.scenes import make_scene
from tests.unit.workers.ingesting import picture

LAKE, CAR = (make_scene(seed, (320, 240)).picture for seed in (1, 2))
COPY = encode(LAKE.resize((240, 180)), quality=60)


@pytest.fixture
def asked(works):
    """Give the works a job of another policy."""

    def ask(policy: OnDuplicate):
        key = works.collection.collection_id
        works.job_id = works.catalogue.jobs.create(key, OnExisting.REPLACE, on_duplicate=policy).job_id
        return works

    return ask


def test_every_picture_is_committed_with_its_hash(works):
    works.runner.run(works.add(lake=encode(LAKE), plain=picture(7)))
    found = works.catalogue.images.pictures(works.collection.collection_id, ["lake", "plain"])
    assert distance(found["lake"].perceptual_hash, perceptual_hash(LAKE)) <= 3
    assert found["plain"].perceptual_hash is None


@pytest.mark.parametrize("attempt", [1, 2], ids=["together", "one by one"])
def test_a_copy_is_linked_to_what_comes_before_it(asked, attempt):
    works = asked(OnDuplicate.LINK)
    ref = works.add(lake=encode(LAKE), car=encode(CAR), copy=COPY)
    if attempt == 2:
        works.catalogue.jobs.lease_chunk(ref, "one that died", 60)
        works.now += 61
    works.runner.run(ref)
    assert {name: status.duplicate_of for name, status in works.statuses().items()} == {
        "lake": "",
        "car": "",
        "copy": "lake",
    }
    assert [entry.image_id for batch in works.pusher.pushed for entry in batch.entries] == ["lake", "car"]


def test_a_copy_is_rejected(asked):
    works = asked(OnDuplicate.REJECT)
    works.runner.run(works.add(lake=encode(LAKE), copy=COPY))
    error = works.statuses()["copy"].error
    assert (error.reason, error.retryable) == ("DUPLICATE_IMAGE", False)


def test_the_original_comes_back_as_what_a_copy_makes_of_it(asked):
    works = asked(OnDuplicate.LINK)
    works.runner.run(works.add(lake=encode(LAKE), copy=COPY))
    [ref] = works.catalogue.feed_writer.delete(works.collection.collection_id, ["lake"]).chunks
    works.runner.run(ref)
    page = works.catalogue.feed_reader.read(works.collection.collection_id, 0, 0, 10)
    assert [entry.image_id for entry in page.entries] == ["copy"]


def test_work_that_a_commit_makes_is_published(asked):
    works = asked(OnDuplicate.LINK)
    works.runner.run(works.add(lake=encode(LAKE), copy=COPY))
    works.runner.run(works.add(lake=encode(CAR)))
    heir = works.queue.take_chunk()
    assert heir is not None
    works.runner.run(heir)
    page = works.catalogue.feed_reader.read(works.collection.collection_id, 0, 0, 10)
    assert {entry.image_id for entry in page.entries} == {"lake", "copy"}


def test_work_that_cannot_be_published_is_left_to_the_sweeper(asked, monkeypatch):
    def away(refs):
        raise Unavailable("the broker is away")

    works = asked(OnDuplicate.LINK)
    works.runner.run(works.add(lake=encode(LAKE), copy=COPY))
    monkeypatch.setattr(works.queue, "publish", away)
    works.runner.run(works.add(lake=encode(CAR)))
    assert works.statuses()["lake"].position is not None
    works.now += 61
    assert len(works.catalogue.jobs.unattended(60, 10)) == 1
