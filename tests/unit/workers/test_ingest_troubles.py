"""What may pass is waited for, what cannot pass ends its own item, and neither costs the others anything."""

from concurrent.futures import Future

import numpy as np
import pytest

from pixvec.catalogue.attempts import MAX_ATTEMPTS, pause_s
from pixvec.errors import Unavailable
from tests.unit.workers.ingesting import Means, picture


class Hindrance:
    """A call that fails for those pictures that `hinders` says, while `raises` is set."""

    def __init__(self, call, raises, hinders=lambda content: True):
        self.call, self.raises, self.hinders = call, raises, hinders
        self.calls = 0

    def __call__(self, content, *arguments, **options):
        self.calls += 1
        if self.raises and self.hinders(content):
            raise self.raises
        return self.call(content, *arguments, **options)


def pass_the_pause(works):
    works.now += pause_s(MAX_ATTEMPTS)


def errors(works):
    return {name: status.error and status.error.reason for name, status in works.statuses().items()}


@pytest.mark.parametrize("raises", [Unavailable("the blob store is away"), OSError("a fault of nobody's")])
def test_what_may_pass_leaves_its_own_item_open_for_a_later_attempt(works, raises):
    ref = works.add(a=picture(1), b=picture(2), c=picture(3))
    store = Hindrance(works.blobs.get, raises, lambda content_hash: content_hash == works.blobs.put(picture(2)))
    works.blobs.get = store
    works.runner.run(ref)
    assert works.open_items() == {"b"}
    assert errors(works) == {"a": None, "b": None, "c": None}
    assert works.leases.held == set()
    store.raises = None
    pass_the_pause(works)
    works.runner.run(ref)
    assert works.open_items() == set()
    assert errors(works) == {"a": None, "b": None, "c": None}


def test_a_chunk_rests_between_two_attempts(works):
    ref = works.add(a=picture(1), b=picture(2))
    store = works.blobs.get = Hindrance(works.blobs.get, Unavailable("away"))
    for _ in range(3):
        works.runner.run(ref)
    assert store.calls == 2
    works.now += pause_s(1)
    works.runner.run(ref)
    assert store.calls > 2


def test_what_does_not_pass_fails_with_its_own_reason_at_the_last_attempt(works):
    ref = works.add(a=picture(1), b=picture(2), c=picture(3))
    works.blobs.get = Hindrance(works.blobs.get, Unavailable("the blob store is away"))
    runs = 0
    while works.open_items():
        runs += 1
        assert runs < 10
        works.runner.run(ref)
        pass_the_pause(works)
    assert runs >= MAX_ATTEMPTS
    for name, status in works.statuses().items():
        assert (status.error.reason, status.error.retryable) == ("UNAVAILABLE", True)
        assert status.error.message == f"{name}: the blob store is away"


def test_one_by_one_the_first_item_that_stays_open_holds_the_others_back(works):
    ref = works.add(a=picture(1), b=picture(2), c=picture(3))
    works.catalogue.jobs.lease_chunk(ref, "killed", 0)
    store = Hindrance(works.blobs.get, Unavailable("away"), lambda content_hash: content_hash == blob_of_b)
    blob_of_b, works.blobs.get = works.blobs.put(picture(2)), store
    works.runner.run(ref)
    assert works.open_items() == {"b", "c"}


@pytest.mark.parametrize("raises", [RuntimeError("CUDA out of memory"), ValueError("a bad shape")])
def test_a_forward_pass_that_fails_is_tried_again(works, monkeypatch, raises):
    ref = works.add(a=picture(1), b=picture(2), c=picture(3))
    model = Hindrance(Means().embed, raises, lambda pixels: len(pixels) == 2)
    monkeypatch.setattr(Means, "embed", lambda _, pixels: model(pixels))
    works.runner.run(ref)
    assert works.open_items() == {"a", "b"}
    pass_the_pause(works)
    works.runner.run(ref)
    assert works.open_items() == set()
    assert set(errors(works).values()) == {None}


@pytest.mark.parametrize("raises", [Unavailable("its host is away"), RuntimeError("CUDA out of memory")])
def test_a_model_that_cannot_be_loaded_now_is_waited_for(works, raises):
    ref = works.add(a=picture(1))
    works.host.trouble = raises
    works.runner.run(ref)
    assert works.open_items() == {"a"}
    works.host.trouble = None
    pass_the_pause(works)
    works.runner.run(ref)
    assert works.open_items() == set()


def test_a_vector_that_cannot_be_stored_ends_its_own_item(works, monkeypatch):
    ref = works.add(a=picture(1), b=picture(200), c=picture(3))

    def embed(_, pixels):
        vectors = pixels.mean(axis=(1, 2)).astype(np.float32) + 1
        vectors[vectors[:, 0] > 150] = np.nan
        return vectors

    monkeypatch.setattr(Means, "embed", embed)
    works.runner.run(ref)
    assert works.open_items() == set()
    assert errors(works) == {"a": None, "b": "INVALID_VECTOR", "c": None}


def test_a_decoder_that_fails_as_nobody_foresaw_costs_one_item_one_attempt(works, monkeypatch):
    ref = works.add(a=picture(1), b=picture(2), c=picture(3))
    decode = works.decoder.decode

    def broken(content, *arguments, **options):
        if content != picture(2):
            return decode(content, *arguments, **options)
        ended = Future()
        ended.set_exception(KeyError("width"))
        return ended

    monkeypatch.setattr(works.decoder, "decode", broken)
    works.runner.run(ref)
    assert works.open_items() == {"b"}
    assert set(errors(works).values()) == {None}
