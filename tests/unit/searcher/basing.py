"""A blob store that can be spoilt, and shards with their backups: for tests of making them and of using them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from pixvec.backups.manifest import read_manifest
from pixvec.blobs.store import MemoryBlobStore
from pixvec.domain import BaseSnapshot, Collection
from pixvec.errors import Unavailable
from pixvec.telemetry.metrics import BASES_REFUSED
from services.searcher.held_shard import HeldShard
from tests.unit.searcher.searching import Bench


class Blobs(MemoryBlobStore):
    """A store that can be spoilt, can be away, and tells what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.written: list[str] = []
        self.on_write: Callable[[], None] = lambda: None

    def put_named(self, name: str, content: bytes) -> None:
        self._check()
        self.on_write()
        self.written.append(name)
        super().put_named(name, content)

    def chunks(self, name: str) -> Iterator[bytes]:
        self._check()
        return super().chunks(name)

    def spoil(self, base: BaseSnapshot) -> Callable[[], None]:
        """Flip a bit in a file of this base; return what puts it right."""
        file = max(read_manifest(self, base).files, key=lambda file: file.size_bytes)
        kept = self._blobs[file.name]
        self._blobs[file.name] = bytes([kept[0] ^ 1]) + kept[1:]
        return lambda: self._blobs.update({file.name: kept})

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("no blob store")


async def make(bench: Bench, collection: Collection) -> BaseSnapshot:
    return (await bench.base_maker.make((collection.collection_id, 0))).base


async def filled(bench: Bench, *numbers: int) -> tuple[Collection, HeldShard]:
    collection = bench.collection()
    bench.index(collection, *numbers)
    return collection, await bench.ready(collection)


async def caught_up(bench: Bench) -> None:
    """Poll, and wait until nothing is being caught up."""
    await bench.follower.poll()
    await bench.caught_up()


async def truncated(bench: Bench, base: BaseSnapshot) -> None:
    """Let the feed begin at the base, and its rows go."""
    await bench.snapshots.write_changed()
    await bench.follower.poll()
    assert bench.catalogue.bases.truncate(base.base_id)
    bench.catalogue.feed_reader.prune_truncated(10_000)


def lose_disk(bench: Bench) -> None:
    """Start another searcher in the place of this one, with an empty disk."""
    bench.stop()
    shutil.rmtree(bench.folder)
    bench.folder.mkdir()
    bench.start()
    bench.database.pages.clear()


def carried(folder: Path) -> list[Path]:
    """Return what is still on its way from or to a shard's folder."""
    return [*folder.glob("*/outgoing-*"), *folder.glob("*/incoming-*")]


def refused() -> float:
    (metric,) = BASES_REFUSED.collect()
    return sum(sample.value for sample in metric.samples if sample.name.endswith("_total"))
