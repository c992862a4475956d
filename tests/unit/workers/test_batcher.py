"""Batching changes no vector, and interactive pictures go first."""

import threading

import numpy as np
import pytest

from pixvec.vision.preprocess import Preprocess
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
