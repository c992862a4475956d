"""A chunk goes through the works and ends, or is let go of so that another worker can have it."""

import math

import numpy as np
import pytest

from pixvec.domain import IngestStage
from pixvec.errors import DatabaseUnavailable, Unavailable
from tests.unit.workers.ingesting import Means, picture


def test_pictures_are_indexed_and_pushed_and_a_bad_one_fails_alone(works):
    works.runner.run(works.add(a=picture(1), b=b"no picture at all", c=picture(3)))
    found = works.statuses()
    assert {name for name, status in found.items() if status.error is None} == {"a", "c"}
    assert found["b"].error.reason == "PICTURE_NOT_RECOGNISED"
    assert found["b"].error.message.startswith("b: ")
    assert [entry.image_id for batch in works.pusher.pushed for entry in batch.entries] == ["a", "c"]
    assert works.leases.held == set()


def test_one_message_is_enough_for_every_chunk_of_a_job(works):
    first = works.add(a=picture(1))
    works.add(b=picture(2))
    works.runner.run(first)
    assert all(status.ended for status in works.statuses().values())


def test_a_chunk_passes_every_stage(works, monkeypatch):
    stages = []
    monkeypatch.setattr(works.catalogue.jobs, "set_stage", lambda ref, owner, stage: stages.append(stage))
    works.runner.run(works.add(a=picture(1)))
    assert stages == [IngestStage.DECODED, IngestStage.EMBEDDED]


def test_what_cannot_reach_a_stage_has_failed_before_the_stage_is_noted(works, monkeypatch):
    noted = []
    set_stage = works.catalogue.jobs.set_stage

    def note(ref, owner, stage):
        set_stage(ref, owner, stage)
        statuses = works.statuses().items()
        noted.append(
            (stage, {name: status.error.reason if status.error else status.stage for name, status in statuses})
        )

    monkeypatch.setattr(works.catalogue.jobs, "set_stage", note)
    monkeypatch.setattr(Means, "embed", lambda _, pixels: np.where(pixels[:, 0, 0] > 200, np.nan, pixels[:, 0, 0]))
    works.runner.run(works.add(a=picture(1), bad=b"no picture at all", b=picture(255)))
    assert noted == [
        (IngestStage.DECODED, {"a": IngestStage.DECODED, "bad": "PICTURE_NOT_RECOGNISED", "b": IngestStage.DECODED}),
        (IngestStage.EMBEDDED, {"a": IngestStage.EMBEDDED, "bad": "PICTURE_NOT_RECOGNISED", "b": "INVALID_VECTOR"}),
    ]


def test_a_stage_is_not_noted_while_an_item_is_left_behind(works, monkeypatch):
    def away(content_hash):
        if content_hash == left_behind:
            raise Unavailable("away")
        return get(content_hash)

    noted = []
    monkeypatch.setattr(works.catalogue.jobs, "set_stage", lambda ref, owner, stage: noted.append(stage))
    get, left_behind = works.blobs.get, works.blobs.put(picture(2))
    monkeypatch.setattr(works.blobs, "get", away)
    works.runner.run(works.add(a=picture(1), b=picture(2)))
    assert works.open_items() == {"b"}
    assert noted == []


def test_one_by_one_no_stage_is_noted_that_others_have_not_reached(works, monkeypatch):
    noted = []
    monkeypatch.setattr(works.catalogue.jobs, "set_stage", lambda ref, owner, stage: noted.append(stage))
    ref = works.add(a=picture(1), b=picture(2), c=picture(3))
    works.catalogue.jobs.lease_chunk(ref, "killed", 0)
    works.runner.run(ref)
    assert works.open_items() == set()
    assert noted == []


@pytest.mark.parametrize("call", ["commit", "lease_next"])
def test_an_outage_lets_go_of_every_lease(works, monkeypatch, call):
    def down(*_):
        raise DatabaseUnavailable("gone")

    ref = works.add(a=picture(1))
    store = works.catalogue.feed_writer if call == "commit" else works.catalogue.jobs
    with monkeypatch.context() as outage:
        outage.setattr(store, call, down)
        with pytest.raises(DatabaseUnavailable):
            works.runner.run(ref)
    assert works.leases.held == set()


def test_a_drain_that_has_lasted_hands_on_a_chunk_that_is_open(works, monkeypatch):
    monkeypatch.setattr("workers.ingest.DRAIN_S", 0)
    first, second = works.add(a=picture(1)), works.add(b=picture(2))
    works.runner.run(first)
    handed_on = works.queue.take_chunk()
    assert handed_on == second
    works.runner.run(handed_on)
    assert all(status.ended for status in works.statuses().values())


@pytest.mark.parametrize("attempt", [1, 2], ids=["together", "one by one"])
def test_a_lost_lease_ends_the_work_on_its_chunk(works, attempt):
    ref = works.add(**{name: picture(shade) for shade, name in enumerate("abcde")})
    for _ in range(attempt - 1):
        works.catalogue.jobs.lease_chunk(ref, "killed", 0)
    works.leases.lost_after = 3
    works.runner.run(ref)
    assert [name for name, status in works.statuses().items() if status.ended] == ["a", "b", "c"]
    assert works.catalogue.jobs.renew(ref, "me", 0)
    works.leases.lost_after = math.inf
    works.runner.run(ref)
    assert all(status.ended for status in works.statuses().values())
    assert sum(len(batch.entries) for batch in works.pusher.pushed) == 5
