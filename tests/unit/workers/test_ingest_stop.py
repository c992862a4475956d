"""A worker that is told to stop begins nothing more: what it has not begun goes to another, at no cost."""

import threading

import pytest

from tests.unit.workers.ingesting import Means, picture

LIMIT_S = 30.0


class Nth:
    """True from the nth time on."""

    def __init__(self, n):
        self._left = n

    def __call__(self, _):
        self._left -= 1
        return self._left <= 0


@pytest.fixture
def stops(works, monkeypatch):
    """Have the runner told to stop within a call: when it is made with an argument that `at` says."""

    def arrange(owner, call, at=lambda argument: True):
        inner = getattr(owner, call)

        def stopping(argument, *arguments, **options):
            if at(argument):
                works.runner.stop()
            return inner(argument, *arguments, **options)

        monkeypatch.setattr(owner, call, stopping)

    return arrange


def attempts(works, ref):
    leased = works.catalogue.jobs.lease_chunk(ref, "another", 60)
    return [item.attempt for item in leased.items]


def test_chunks_that_have_not_begun_are_given_back_uncharged(works, stops):
    first, second, third = works.add(a=picture(1)), works.add(b=picture(2)), works.add(c=picture(3))
    stops(works.catalogue.jobs, "lease_next")
    works.runner.run(first)
    assert works.open_items() == {"a", "b", "c"}
    assert works.leases.held == set()
    assert [attempts(works, ref) for ref in (first, second, third)] == [[1], [1], [1]]


@pytest.mark.parametrize("attempt", [1, 2], ids=["together", "one by one"])
def test_what_has_begun_ends_and_the_rest_of_its_chunk_is_given_back_uncharged(works, stops, attempt):
    ref = works.add(**{name: picture(shade) for shade, name in enumerate("abcde")})
    for _ in range(attempt - 1):
        works.catalogue.jobs.lease_chunk(ref, "killed", 0)
    stops(works.leases, "holds", Nth(3))
    works.runner.run(ref)
    assert works.open_items() == {"d", "e"}
    assert works.leases.held == set()
    assert attempts(works, ref) == [attempt, attempt]


def test_a_forward_pass_under_way_is_not_lost(works, monkeypatch):
    def embed(model, pixels):
        works.runner.stop()
        return inner(model, pixels)

    inner = Means.embed
    monkeypatch.setattr(Means, "embed", embed)
    first, second = works.add(a=picture(1)), works.add(b=picture(2))
    works.runner.run(first)
    assert works.open_items() == {"b"}
    assert attempts(works, second) == [1]


def test_somebody_else_is_told_of_what_is_left(works, stops):
    first, second = works.add(a=picture(1)), works.add(b=picture(2))
    stops(works.catalogue.jobs, "lease_next")
    works.runner.run(first)
    assert works.queue.take_chunk() in (first, second)


def test_a_message_that_comes_too_late_is_passed_on(works):
    ref = works.add(a=picture(1))
    works.runner.stop()
    works.runner.run(ref)
    assert works.open_items() == {"a"}
    assert works.queue.take_chunk() == ref
    assert attempts(works, ref) == [1]


def test_a_picture_that_does_not_come_holds_nobody_up(works, monkeypatch):
    asked, come = threading.Event(), threading.Event()

    def slow(content_hash):
        asked.set()
        come.wait(LIMIT_S)
        return get(content_hash)

    get = works.blobs.get
    monkeypatch.setattr(works.blobs, "get", slow)
    monkeypatch.setattr("workers.ingest._LOOK_S", 0.001)
    ref = works.add(a=picture(1))
    running = threading.Thread(target=works.runner.run, args=(ref,))
    running.start()
    assert asked.wait(LIMIT_S)
    works.runner.stop()
    running.join(LIMIT_S)
    assert not running.is_alive()
    assert attempts(works, ref) == [1]
    come.set()
