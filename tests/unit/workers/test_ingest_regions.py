"""Collections of several spaces: every model sees each picture, and what they made of it is committed together."""

import queue
import threading

import numpy as np
import pytest

from pixvec.domain import Metric, RegionEmbedding, RegionSettings, Space
from pixvec.rpc.records import decode_record
from pixvec.vision.detector import Detections
from tests.unit.workers.blobs import BlobRegions, Blobs
from tests.unit.workers.ingesting import SPACE, Means, Works
from tests.unit.workers.test_detecting import scene
from workers.batcher import Batcher
from workers.ingest import LATE_S

LIMIT_S = 30.0


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


OTHER = Space("other", "means", 3, Metric.EUCLIDEAN, "0" * 64)
REGIONS = Space("region", "blobs", 3, Metric.COSINE, Blobs().digest, regions=RegionSettings("blobs"))
CROPS = Space("region", "blobs", 3, Metric.COSINE, "c1" * 32, regions=RegionSettings("blobs", RegionEmbedding.CROP))
TWO = scene((0, 0, 80, 40), (120, 40, 160, 80))
ONE = scene((0, 0, 80, 40))
NONE = scene()


@pytest.fixture
def make():
    batcher = Batcher(batch_images=2)
    batcher.start()
    yield lambda *spaces: Works(batcher, (SPACE, *spaces))
    batcher.close()


def records(works):
    return {entry.image_id: decode_record(entry.record) for batch in works.pusher.pushed for entry in batch.entries}


def regions(works, image_id):
    return works.catalogue.images.regions(works.collection.collection_id, image_id)


@pytest.mark.parametrize("space", [REGIONS, CROPS], ids=["roi", "crop"])
def test_regions_are_committed_with_their_picture_in_the_order_of_their_vectors(make, space):
    works = make(space)
    works.runner.run(works.add(two=TWO, none=NONE, broken=b"no picture", one=ONE))
    found = works.statuses()
    assert {name for name, status in found.items() if status.error is None} == {"two", "none", "one"}
    made = records(works)
    assert {name: len(record.vectors["region"]) for name, record in made.items()} == {"two": 2, "none": 0, "one": 1}
    assert made["none"].digests["region"].hex() == space.digest
    assert made["none"].vectors["image"].shape == (1, 3)
    first, second = regions(works, "two")
    assert [(each.ordinal, each.class_name) for each in (first, second)] == [(0, "red"), (1, "green")]
    assert made["two"].vectors["region"].argmax(axis=1).tolist() == [0, 1]
    assert (second.box.x1, second.box.y1, second.box.x2, second.box.y2) == pytest.approx((120, 40, 160, 80), abs=3)
    assert regions(works, "none") == []


def test_every_whole_picture_space_has_its_own_vectors(make):
    works = make(OTHER)
    works.runner.run(works.add(one=ONE))
    (record,) = records(works).values()
    assert set(record.vectors) == {"image", "other"}
    assert record.vectors["other"].tolist() == record.vectors["image"].tolist()


def test_a_picture_taken_in_again_has_the_regions_of_what_it_is_now(make):
    works = make(REGIONS)
    works.runner.run(works.add(a=TWO))
    works.runner.run(works.add(a=NONE))
    assert regions(works, "a") == []
    assert len(records(works)["a"].vectors["region"]) == 0


def test_a_thousand_objects_of_one_picture_are_all_kept(make, monkeypatch):
    def detect(self, pictures):
        left = np.arange(1000, dtype=np.float32)
        boxes = np.stack([left, left, left + 1, left + 1], axis=1) * 0.03
        scores = np.linspace(1, 0.5, 1000, dtype=np.float32)
        return [Detections(boxes, ["red"] * 1000, scores, rows) for _ in pictures]

    rows = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
    works = make(REGIONS)
    monkeypatch.setattr(BlobRegions, "detect", detect)
    works.runner.run(works.add(many=TWO))
    (record,) = records(works).values()
    assert np.abs(record.vectors["region"] - rows).max() < 0.01
    kept = regions(works, "many")
    assert [region.ordinal for region in kept] == list(range(1000))
    # The detector saw the picture at 64 x 32 of its 160 x 80 pixels.
    assert kept[999].box.x2 == pytest.approx(1000 * 0.03 * 160 / 64)


def test_a_detector_that_fails_costs_the_pictures_of_its_pass_an_attempt(make, monkeypatch):
    def detect(self, pictures):
        if any(picture.max() == 0 for picture in pictures):
            raise RuntimeError("out of memory")
        return inner(self, pictures)

    inner = BlobRegions.detect
    works = make(REGIONS)
    # Each in a pass of its own.
    monkeypatch.setattr("workers.batcher._PASS_S", 1e-9)
    monkeypatch.setattr(BlobRegions, "detect", detect)
    works.runner.run(works.add(two=TWO, none=NONE, one=ONE))
    assert works.open_items() == {"none"}
    assert set(records(works)) == {"two", "one"}


def test_another_detector_than_the_collection_was_made_with_is_refused(make):
    works = make(Space("region", "blobs", 3, Metric.COSINE, "ee" * 32, regions=RegionSettings("blobs")))
    works.runner.run(works.add(one=ONE))
    assert works.statuses()["one"].error.reason == "DIGEST_MISMATCH"


@pytest.mark.parametrize("why", ["told to stop", "late"])
def test_what_a_detector_has_not_begun_is_given_back_uncharged(make, monkeypatch, why):
    queued, may_go, clock = queue.Queue(), threading.Event(), Clock()

    def submit_regions(*arguments):
        future = submit(*arguments)
        queued.put(future)
        return future

    def detect(self, pictures):
        if why == "late":
            clock.now = 2 * LATE_S
        else:
            works.runner.stop()
        assert may_go.wait(LIMIT_S)
        return inner(self, pictures)

    inner, submit = BlobRegions.detect, Batcher.submit_regions
    works = make(REGIONS)
    monkeypatch.setattr("workers.batcher._PASS_S", 1e-9)
    monkeypatch.setattr("workers.ingest._LOOK_S", 0.001)
    monkeypatch.setattr("workers.ingest.time", clock)
    monkeypatch.setattr(BlobRegions, "detect", detect)
    monkeypatch.setattr(Batcher, "submit_regions", submit_regions)
    ref = works.add(a=TWO, b=ONE, c=ONE)
    running = threading.Thread(target=works.runner.run, args=(ref,))
    running.start()
    _, second = (queued.get(timeout=LIMIT_S) for _ in range(2))
    # Called at once when it is cancelled.
    second.add_done_callback(lambda _: may_go.set())
    running.join(LIMIT_S)
    assert second.cancelled()
    assert "a" in records(works)
    assert works.open_items() == {"b", "c"}
    assert works.leases.held == set()
    # Whoever takes the message next.
    assert works.queue.take_chunk() == ref
    leased = works.catalogue.jobs.lease_chunk(ref, "another", 60)
    assert {item.attempt for item in leased.items} == {1}


def test_a_vector_that_no_index_takes_fails_its_picture_alone(make, monkeypatch):
    works = make(OTHER, REGIONS)
    monkeypatch.setattr(Means, "embed", lambda _, pixels: np.where(pixels[:, 0, 0] > 200, np.nan, 1 + pixels[:, 0, 0]))
    works.runner.run(works.add(one=ONE, none=NONE))
    assert works.statuses()["one"].error.reason == "INVALID_VECTOR"
    assert works.statuses()["none"].error is None
