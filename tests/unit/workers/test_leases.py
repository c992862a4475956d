"""Leases are kept while their chunks are worked on, and let go of once another worker has them."""

import threading

import pytest

from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import Metric, OnExisting, Space
from pixvec.errors import DatabaseUnavailable
from workers.leases import LeaseKeeper

SPACE = Space("image", "means", 3, Metric.COSINE, "0" * 64)
LEASE_S = 60


class Desk:
    """Two chunks leased to us, on a clock that a test moves."""

    def __init__(self):
        self.now = 1_000.0
        self.catalogue = in_memory(lambda: self.now)
        photos = self.catalogue.collections.create("photos", [SPACE], 1)
        job_id = self.jobs.create(photos.collection_id, OnExisting.REPLACE).job_id
        for ordinal in range(2):
            self.jobs.add_items(job_id, [NewItem(ordinal, f"{ordinal}", {}, "ff" * 32, 10)])
        self.first, self.second = (self.lease(ChunkRef(job_id, number), "us") for number in range(2))
        self.keeper = LeaseKeeper(self.jobs, LEASE_S)

    @property
    def jobs(self):
        return self.catalogue.jobs

    def lease(self, ref, owner):
        return self.jobs.lease_chunk(ref, owner, LEASE_S)


@pytest.fixture
def desk():
    return Desk()


def test_a_lease_that_is_held_goes_on_and_one_that_is_dropped_runs_out(desk):
    desk.keeper.hold(desk.first)
    desk.keeper.hold(desk.second)
    desk.keeper.drop(desk.second)
    for _ in range(5):
        desk.now += LEASE_S / 3
        desk.keeper.renew_all()
    assert desk.keeper.holds(desk.first)
    assert not desk.keeper.holds(desk.second)
    assert desk.lease(desk.first.ref, "another") is None
    assert desk.lease(desk.second.ref, "another") is not None


def test_a_lease_that_another_worker_took_is_noticed(desk):
    desk.keeper.hold(desk.first)
    desk.keeper.hold(desk.second)
    desk.now += LEASE_S + 1
    assert desk.lease(desk.first.ref, "another") is not None
    desk.keeper.renew_all()
    assert not desk.keeper.holds(desk.first)
    assert desk.keeper.holds(desk.second)


def test_an_outage_says_nothing_about_a_lease(desk, monkeypatch):
    def down(*_):
        raise DatabaseUnavailable("restarting")

    desk.keeper.hold(desk.first)
    with monkeypatch.context() as outage:
        outage.setattr(desk.jobs, "renew", down)
        desk.keeper.renew_all()
    assert desk.keeper.holds(desk.first)


def test_dropping_an_old_lease_keeps_a_new_one_of_the_same_chunk(desk):
    desk.keeper.hold(desk.first)
    desk.now += LEASE_S + 1
    again = desk.lease(desk.first.ref, "us")
    desk.keeper.hold(again)
    assert not desk.keeper.holds(desk.first)
    desk.keeper.drop(desk.first)
    assert desk.keeper.holds(again)


def test_a_thread_renews_until_it_is_closed(desk, monkeypatch):
    renewed = threading.Event()
    monkeypatch.setattr(desk.jobs, "renew", lambda *_: renewed.set() or True)
    keeper = LeaseKeeper(desk.jobs, lease_s=0.003)
    keeper.hold(desk.first)
    keeper.start()
    assert renewed.wait(30)
    keeper.close()
    assert keeper.holds(desk.first)
