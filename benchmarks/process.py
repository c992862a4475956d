"""The processes of `serving`: `python -m benchmarks.process searcher|gateway`.

Searcher and gateway are the product's own, main function and all; only the catalogue is not Postgres but one in memory
that knows one collection of one shard, whose feed is what was pushed. So vectors come without pictures, and no database
shares the processor. Its settings are one JSON object in PIXVEC_DATABASE_URL.
"""

import dataclasses
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

from pixvec.catalogue import postgres
from pixvec.catalogue.feed import FeedPage
from pixvec.catalogue.interfaces import Catalogue
from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.memory.collections import MemoryCollectionStore
from pixvec.catalogue.memory.feed_reader import MemoryFeedReader
from pixvec.catalogue.memory.state import State
from pixvec.catalogue.memory.topology import MemoryTopologyStore
from pixvec.catalogue.topology import Assignment, ShardReport
from pixvec.domain import IndexSettings, Metric, Space

COLLECTION, COLLECTION_ID, SHARD, EPOCH, SPACE = "bench", 1, 0, "pushed", "image"
SEARCHER = "searcher-0"
_FOR_EVER_S = 1e9
_HEAD = 2**60


class _PushedTopology(MemoryTopologyStore):
    """The head of the feed is wherever pushes have come to. Index settings are those that the file holds now."""

    def __init__(self, state: State, settings: Path) -> None:
        super().__init__(state)
        self._settings = settings
        self._collections = MemoryCollectionStore(state)

    def assignments(self, searcher_id: str) -> list[Assignment]:
        index = IndexSettings(**json.loads(self._settings.read_text()))
        self._collections.change_index(COLLECTION, "", lambda _: index)
        found = super().assignments(searcher_id)
        return [dataclasses.replace(each, epoch=EPOCH, head_seq=_HEAD) for each in found]


class _PushedFeed(MemoryFeedReader):
    """Nothing but pushes."""

    def read(self, collection_id: int, shard: int, after_seq: int, limit: int) -> FeedPage:  # noqa: ARG002
        return FeedPage(EPOCH, after_seq, after_seq, ())


def pushed_catalogue(description: str, **_: Any) -> Catalogue:
    """Return a catalogue of one collection: `description` is a JSON object of `dim`, `metric`, the searcher's
    `address` and the file of its index `settings`."""
    told = json.loads(description)
    state = State(time.time)
    topology = _PushedTopology(state, Path(told["settings"]))
    topology.heartbeat(SEARCHER, told["address"], [], lease_s=_FOR_EVER_S)
    space = Space(SPACE, "none", told["dim"], Metric(told["metric"]), "ab" * 32)
    collections = MemoryCollectionStore(state)
    collections.create(COLLECTION, [space], 1)
    report = ShardReport(COLLECTION_ID, SHARD, ready=True, snapshot_seq=0)
    topology.heartbeat(SEARCHER, told["address"], [report], lease_s=_FOR_EVER_S)
    return dataclasses.replace(in_memory(), collections=collections, topology=topology, feed_reader=_PushedFeed(state))


def main() -> None:
    """Run one process until it is told to stop."""
    with mock.patch.object(postgres, "connect", pushed_catalogue):
        runpy.run_module(f"services.{sys.argv[1]}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
