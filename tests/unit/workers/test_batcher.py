"""Batching changes no vector, and interactive pictures go first."""

import threading

import numpy as np
import pytest

from pixvec.domain import RegionSettings
from pixvec.errors import Overloaded
from pixvec.vision.detector import Detections
from pixvec.vision.preprocess import DetectorPreprocess, Preprocess
from workers.batcher import Batcher


class Means:
    """A model whose vector is the mean colour; it notes its batches and may be held up or broken."""

    name, dim, digest = "means", 3, "0" * 64
    preprocess = Preprocess(4, 4)

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_run = threading.Event()
        self.entered = threading.Event()
        self.error: Exception | None = None

    def embed(self, pixels):
        self.entered.set()
        assert self.may_run.wait(30)
        self.batches.append([int(picture[0, 0, 0]) for picture in pixels])
        if self.error:
            raise self.error
        return pixels.mean(axis=(1, 2)).astype(np.float32)


def pictures(*values: int) -> np.ndarray:
    return np.stack([np.full((4, 4, 3), value, np.uint8) for value in values])


@pytest.fixture
def model():
    return Means()


@pytest.fixture
def batcher():
    batcher = Batcher(batch_images=3)
    batcher.start()
    yield batcher
    batcher.close()


def hold(batcher: Batcher, model: Means):
    """Occupy the model, so that what follows is queued."""
    first = batcher.submit(model, pictures(0))
    assert model.entered.wait(30)
    return first


def test_what_is_queued_shares_a_pass_and_each_gets_its_own(batcher, model):
    hold(batcher, model)
    futures = [batcher.submit(model, pictures(value)) for value in (1, 2, 3, 4)]
    model.may_run.set()
    vectors = [future.result(30).vectors for future in futures]
    assert model.batches == [[0], [1, 2, 3], [4]]
    assert [vector[0, 0] for vector in vectors] == [1, 2, 3, 4]


def test_interactive_pictures_go_ahead_of_queued_ones(batcher, model):
    hold(batcher, model)
    bulk = batcher.submit(model, pictures(1, 2, 3))
    urgent = batcher.submit(model, pictures(9), priority=True)
    model.may_run.set()
    bulk.result(30)
    urgent.result(30)
    assert model.batches == [[0], [9], [1, 2, 3]]


def test_a_broken_pass_fails_those_in_it_and_no_one_else(batcher, model):
    model.may_run.set()
    model.error = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        batcher.submit(model, pictures(1)).result(30)
    model.error = None
    assert batcher.submit(model, pictures(2)).result(30).vectors[0, 0] == 2


class Shades:
    """Finds in each picture one object, of its shade; `seconds` a picture go by while it looks."""

    name, dim, digest, settings = "shades", 1, "1" * 64, RegionSettings("shades")
    preprocess = DetectorPreprocess()

    def __init__(self, clock) -> None:
        self.clock, self.seconds = clock, 0.0
        self.passes: list[list[int]] = []

    def detect(self, pictures):
        shades = [int(picture[0, 0, 0]) for picture in pictures]
        self.passes.append(shades)
        self.clock.now += self.seconds * len(shades)
        return [self.found(shade, np.zeros((1, 4), np.float32)) for shade in shades]

    def describe_boxes(self, pictures, boxes):
        self.passes.append([len(each) for each in boxes])
        return [self.found(int(picture[0, 0, 0]), each) for picture, each in zip(pictures, boxes, strict=True)]

    def found(self, shade, boxes):
        scores = np.full(len(boxes), 0.5, np.float32)
        return Detections(boxes, [str(shade)] * len(boxes), scores, np.ones((len(boxes), 1), np.float32))


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def shades(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("workers.batcher.time", clock)
    return Shades(clock)


def of_different_sizes(*shades: int) -> list[np.ndarray]:
    return [np.full((3 + shade, 5, 3), shade, np.uint8) for shade in shades]


def labels(futures) -> list[str]:
    return [found.labels[0] for future in futures for found in future.result(30).pictures]


def test_pictures_of_different_sizes_share_a_pass_of_a_detector(batcher, model, shades):
    hold(batcher, model)
    shades.seconds = 0.01
    warming = batcher.submit_regions(shades, of_different_sizes(9)[0])
    futures = [batcher.submit_regions(shades, picture) for picture in of_different_sizes(1, 2, 3, 4)]
    model.may_run.set()
    assert labels([warming, *futures]) == ["9", "1", "2", "3", "4"]
    assert shades.passes == [[9], [1, 2, 3], [4]]


@pytest.mark.parametrize(("seconds", "passes"), [(0.125, [[0], [1, 2], [3, 4]]), (3.0, [[0], [1], [2], [3], [4]])])
def test_a_pass_of_a_detector_takes_no_more_than_lasts_a_moment(batcher, model, shades, seconds, passes):
    hold(batcher, model)
    shades.seconds = seconds
    futures = [batcher.submit_regions(shades, picture) for picture in of_different_sizes(0, 1, 2, 3, 4)]
    model.may_run.set()
    assert labels(futures) == ["0", "1", "2", "3", "4"]
    assert shades.passes == passes


def test_boxes_that_are_quickly_described_make_no_longer_pass_of_a_detector(batcher, model, shades):
    drawn = np.zeros((1, 4), np.float32)
    batcher.submit_regions(shades, of_different_sizes(9)[0], boxes=drawn).result(30)
    hold(batcher, model)
    shades.seconds = 3.0
    futures = [batcher.submit_regions(shades, picture) for picture in of_different_sizes(1, 2)]
    model.may_run.set()
    assert labels(futures) == ["1", "2"]
    assert shades.passes == [[1], [1], [2]]


def test_a_picture_in_a_hurry_waits_for_one_pass_of_a_detector(batcher, model, shades):
    hold(batcher, model)
    shades.seconds = 3.0
    bulk = [batcher.submit_regions(shades, picture) for picture in of_different_sizes(1, 2, 3)]
    urgent = batcher.submit_regions(shades, of_different_sizes(9)[0], priority=True)
    model.may_run.set()
    labels([*bulk, urgent])
    assert shades.passes[0] == [9]


def test_boxes_of_several_pictures_are_described_in_one_pass(batcher, model, shades):
    batcher.submit_regions(shades, of_different_sizes(9)[0], boxes=np.zeros((3, 4), np.float32)).result(30)
    hold(batcher, model)
    boxes = [np.zeros((count, 4), np.float32) for count in (2, 1)]
    pictures = of_different_sizes(1, 2)
    futures = [
        batcher.submit_regions(shades, picture, boxes=each) for picture, each in zip(pictures, boxes, strict=True)
    ]
    model.may_run.set()
    assert [list(future.result(30).pictures[0].labels) for future in futures] == [["1", "1"], ["2"]]
    assert shades.passes == [[3], [2, 1]]


def test_two_models_do_not_share_a_pass_though_both_wait(batcher, model):
    other = Means()
    hold(batcher, model)
    other.may_run.set()
    futures = [batcher.submit(each, pictures(value)) for value, each in enumerate((model, other, model), start=1)]
    model.may_run.set()
    assert [future.result(30).vectors[0, 0] for future in futures] == [1, 2, 3]
    assert (model.batches, other.batches) == ([[0], [1], [3]], [[2]])


def test_more_pictures_than_a_pass_holds_come_as_one_submission(batcher, model):
    model.may_run.set()
    assert batcher.submit(model, pictures(1, 2, 3, 4, 5)).result(30).vectors.shape == (5, 3)
    assert model.batches == [[1, 2, 3, 4, 5]]


def test_nothing_is_run_for_those_who_wait_no_longer(batcher, model):
    hold(batcher, model)
    gone, left = batcher.submit(model, pictures(1)), batcher.submit(model, pictures(2))
    assert gone.cancel()
    model.may_run.set()
    assert left.result(30).vectors[0, 0] == 2
    assert model.batches == [[0], [2]]


@pytest.mark.parametrize("priority", [True, False])
def test_too_many_that_wait_are_refused_at_each_priority(model, priority):
    batcher = Batcher(batch_images=3, max_waiting=2)
    waiting = [batcher.submit(model, pictures(value), priority=priority) for value in (1, 2)]
    with pytest.raises(Overloaded) as refused:
        batcher.submit(model, pictures(3), priority=priority)
    assert refused.value.retry_after_s > 0
    waiting.append(batcher.submit(model, pictures(4), priority=not priority))
    model.may_run.set()
    batcher.start()
    batcher.close()
    assert all(future.done() for future in waiting)
    with pytest.raises(Overloaded):
        batcher.submit(model, pictures(5), priority=priority)
