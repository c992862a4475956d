"""How a searcher ends when a background task of it dies: as in a shutdown, with nothing left to run."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pixvec.catalogue.interfaces import EmbeddedItem, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import IndexKind, IndexSettings, Metric, OnExisting, Space
from pixvec.rpc.records import encode_record
from pixvec.settings import SearcherSettings
from pixvec.telemetry.metrics import BUILD_FAILURES
from services.searcher import __main__ as searcher
from services.searcher.builder_process import BuildsEnded
from services.searcher.data_folder import DataFolder
from tests.in_loop import in_loop
from tests.integration.searchers import LIMIT_S, vector

SPACE = Space("image", "hog-color", 8, Metric.COSINE, "ab" * 32, IndexSettings(IndexKind.HNSW))


class EndlessBuilds:
    """A BuilderProcess whose builds end when it is closed."""

    def __init__(self) -> None:
        self.begun, self.closed = threading.Event(), threading.Event()

    def __call__(self, *_: object, **__: object) -> None:
        self.begun.set()
        assert self.closed.wait(LIMIT_S)
        raise BuildsEnded

    def close(self) -> None:
        self.closed.set()


def dying(call: Callable[..., object], when: threading.Event) -> Callable[..., object]:
    """Return the call, which fails as a defect would from a moment on."""

    def fails(*arguments: object, **named: object) -> object:
        if when.is_set():
            raise ZeroDivisionError
        return call(*arguments, **named)

    return fails


@in_loop
async def test_a_background_task_that_dies_ends_the_build_and_keeps_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = in_memory()
    catalogue.topology.heartbeat("searcher-0", "here", [], lease_s=60)
    collection = catalogue.collections.create("photos", [SPACE], 1)
    job_id = catalogue.jobs.create(collection.collection_id, OnExisting.REPLACE).job_id
    catalogue.jobs.add_items(job_id, [NewItem(n, f"image-{n}", {}, f"{n:064x}", 1) for n in range(200)])
    leased = catalogue.jobs.lease_next(job_id, "worker", 60)
    assert leased is not None
    records = [encode_record({"image": (SPACE, vector(number))}, {}) for number in range(200)]
    embedded = [
        EmbeddedItem(item, record, item.content_hash, 1, "PNG", 1, 1)
        for item, record in zip(leased.items, records, strict=True)
    ]
    catalogue.feed_writer.commit(leased, embedded, [])
    builds = EndlessBuilds()
    monkeypatch.setattr(searcher, "BuilderProcess", lambda _: builds)
    monkeypatch.setattr(
        catalogue.topology, "assignments", dying(catalogue.topology.assignments, builds.begun), raising=True
    )
    settings = SearcherSettings(
        database_url="",
        searcher_id="searcher-0",
        searcher_listen=f"unix:{tmp_path}/searcher.sock",
        searcher_data=tmp_path / "data",
        searcher_seal_rows=100,
        searcher_poll_s=0.01,
    )
    failures = BUILD_FAILURES._value.get()
    (tmp_path / "data").mkdir()
    with pytest.raises(ExceptionGroup) as caught:
        await searcher.serve(settings, catalogue, DataFolder(tmp_path / "data"))
    assert caught.group_contains(ZeroDivisionError)
    assert builds.closed.is_set()
    assert BUILD_FAILURES._value.get() == failures
    assert not (tmp_path / "searcher.sock").exists()
    assert {thread.name.rpartition("_")[0] for thread in threading.enumerate()}.isdisjoint({"builds", "disk", "poll"})
    assert asyncio.all_tasks() == {asyncio.current_task()}
