"""When shards are written to this searcher's disk, read from it, and removed from it."""

import asyncio
import functools
import shutil
import time
from pathlib import Path

from pixvec.catalogue.topology import Assignment
from pixvec.domain import ShardKey
from pixvec.errors import ShardUnavailable
from pixvec.index import snapshot
from pixvec.index.durable import Damaged
from pixvec.index.library import load_faiss
from pixvec.index.portable import Portable, link_snapshot, make_incoming, take_in
from pixvec.index.shard import Shard
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import SNAPSHOT_FAILURES, SNAPSHOT_SECONDS
from services.searcher.data_folder import DataFolder
from services.searcher.held_shard import HeldShard
from services.searcher.shard_host import ShardHost

log = get_logger(__name__)


class Snapshots:
    """`disk` has one thread: writing and removing a shard's folder never meet. Searching goes on beside all of it."""

    def __init__(self, host: ShardHost, data: DataFolder, disk: BlockingCalls) -> None:
        self._host = host
        self._data = data
        self._disk = disk

    async def run(self, interval_s: float) -> None:
        """Write what has changed, every `interval_s`, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.write_changed()

    async def write_changed(self) -> list[str]:
        """Write every shard that is not as its snapshot has it. One that cannot be written is logged and counted;
        return what was wrong with which."""
        failures = []
        for held in self._host:
            has_changed = held.loaded and (held.applied_seq != held.snapshot_seq or held.has_unsaved_build)
            if has_changed and (why := await self._disk.run(self._write, held)):
                failures.append(f"shard {held.shard} of collection {held.collection.name}: {why}")
        return failures

    async def write(self, held: HeldShard) -> None:
        """Write this shard now, whether it has moved or not: what is built is worth keeping too."""
        await self._disk.run(self._write, held)

    async def load(self, held: HeldShard) -> None:
        """Start a shard with its newest good snapshot, if there is one."""
        assignment, found = held.assignment, None
        if self._data.of_shard(held.key).exists():
            found = await self._disk.run(self._read, held, assignment)
        held.begin_with(found, assignment.tombstone_floor)

    async def link(self, held: HeldShard) -> Portable:
        """Write this shard now, and return it in a folder of its own, which is the caller's to `discard`. Raises
        ShardUnavailable when the shard was dropped, OSError, Damaged."""
        return await self._disk.run(self._link, held)

    async def make_incoming(self, held: HeldShard) -> Path:
        """Return a new folder to bring a snapshot into, which is the caller's to `discard`. Raises ShardUnavailable
        when the shard was dropped, OSError."""
        return await self._disk.run(self._make_incoming, held)

    async def take_in(self, held: HeldShard, incoming: Path, made_in: str, *, min_seq: int, max_seq: int) -> Shard:
        """Return the shard of a snapshot that was brought here, written in the epoch `made_in`: it is this searcher's
        own from now on. Raises ShardUnavailable when the shard was dropped, Damaged, OSError."""
        return await self._disk.run(self._take_in, held, incoming, made_in, min_seq, max_seq)

    def discard(self, folder: Path) -> None:
        """Remove a folder that was going out or coming in."""
        self._disk.start(functools.partial(shutil.rmtree, folder, ignore_errors=True))

    def forget(self, held: HeldShard) -> None:
        """Remove the folder of a shard that was dropped, before anything that is asked for later."""
        self._disk.start(self._data.remove, held.key)

    def forget_all_but(self, kept: set[ShardKey]) -> None:
        """Remove what an earlier life of this searcher held, and what a crash left unfinished."""
        self._disk.start(self._tidy, kept)

    def _tidy(self, kept: set[ShardKey]) -> None:
        for key in self._data.known():
            if key in kept:
                folder = self._data.of_shard(key)
                snapshot.clean(folder)
                snapshot.remove_segments(folder, functools.partial(self._segments_of, key))
            else:
                self._data.remove(key)

    def _segments_of(self, key: ShardKey) -> set[str]:
        held = self._host.get(key)
        return held.index.segment_names if held is not None else set()

    def _read(self, held: HeldShard, assignment: Assignment) -> Shard | None:
        return self._load(held, assignment.tombstone_floor, assignment.head_seq)

    def _make_incoming(self, held: HeldShard) -> Path:
        _check_held(held)
        return make_incoming(self._data.of_shard(held.key))

    def _take_in(self, held: HeldShard, incoming: Path, made_in: str, min_seq: int, max_seq: int) -> Shard:
        _check_held(held)
        take_in(incoming, held.identity, made_in)
        found = self._load(held, min_seq, max_seq)
        if found is None:
            raise Damaged("unreadable", "what was brought here cannot be loaded: the log says why")
        return found

    def _load(self, held: HeldShard, min_seq: int, max_seq: int) -> Shard | None:
        begun = time.perf_counter()
        folder = self._data.of_shard(held.key)
        found = snapshot.load_newest(folder, held.identity, min_seq=min_seq, max_seq=max_seq)
        if found is not None:
            # Now, so that the first search need not wait for it.
            load_faiss()
            log.info(
                "snapshot_loaded",
                collection=held.collection.name,
                shard=held.shard,
                seq=found.applied_seq,
                images=found.image_count,
                seconds=round(time.perf_counter() - begun, 3),
            )
        return found

    def _link(self, held: HeldShard) -> Portable:
        _check_held(held)
        return link_snapshot(self._write_now(held))

    def _write(self, held: HeldShard) -> str:
        if held.dropped:
            return ""
        try:
            self._write_now(held)
        except OSError as error:
            log.error("snapshot_failed", collection=held.collection.name, shard=held.shard, error=str(error))
            return str(error)
        return ""

    def _write_now(self, held: HeldShard) -> Path:
        was_unsaved, held.has_unsaved_build = held.has_unsaved_build, False
        view, folder = held.index.view, self._data.of_shard(held.key)
        try:
            with SNAPSHOT_SECONDS.time(), SNAPSHOT_FAILURES.count_exceptions(OSError):
                written = snapshot.write_snapshot(folder, view, held.identity)
        except OSError:
            held.has_unsaved_build |= was_unsaved
            raise
        held.snapshot_seq = view.applied_seq
        snapshot.remove_segments(folder, lambda: held.index.segment_names)
        log.info("snapshot_written", collection=held.collection.name, shard=held.shard, seq=view.applied_seq)
        return written


def _check_held(held: HeldShard) -> None:
    if held.dropped:
        # Its folder is about to be removed, or has been.
        raise ShardUnavailable(f"shard {held.shard} of {held.collection.name} is held here no longer")
