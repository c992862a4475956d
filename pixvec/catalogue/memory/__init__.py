"""The catalogue in memory: the same promises as Postgres, for tests and for trying things, gone with the process."""

import time
from collections.abc import Callable

from pixvec.catalogue.interfaces import Catalogue
from pixvec.catalogue.memory.bases import MemoryBaseStore
from pixvec.catalogue.memory.collections import MemoryCollectionStore
from pixvec.catalogue.memory.feed_reader import MemoryFeedReader
from pixvec.catalogue.memory.feed_writer import MemoryFeedWriter
from pixvec.catalogue.memory.images import MemoryImageReader
from pixvec.catalogue.memory.jobs import MemoryJobStore
from pixvec.catalogue.memory.state import State
from pixvec.catalogue.memory.topology import MemoryTopologyStore
from pixvec.catalogue.memory.trainings import MemoryModelStore, MemoryTrainingStore


def in_memory(clock: Callable[[], float] = time.time) -> Catalogue:
    """Return an empty catalogue. `clock` gives seconds since the epoch; leases are measured by it."""
    state = State(clock)
    return Catalogue(
        collections=MemoryCollectionStore(state),
        images=MemoryImageReader(state),
        jobs=MemoryJobStore(state),
        feed_writer=MemoryFeedWriter(state),
        feed_reader=MemoryFeedReader(state),
        topology=MemoryTopologyStore(state),
        bases=MemoryBaseStore(state),
        trainings=MemoryTrainingStore(state),
        models=MemoryModelStore(state),
        close=_nothing_to_close,
    )


def _nothing_to_close() -> None:
    return None
