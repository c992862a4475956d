"""A feed begins at a backup only right after that was read through; what nobody needs goes, and nothing else does."""

import hashlib
import threading
from pathlib import Path

import pytest

from pixvec.backups.checking import check_backup
from pixvec.backups.manifest import read_manifest
from pixvec.backups.storing import NewBackup, ShardFile, known_files, store_backup
from pixvec.blobs.store import MemoryBlobStore
from pixvec.catalogue.bases import BaseContent
from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import BaseSnapshot, Metric, Space
from pixvec.errors import BackupDamaged, Unavailable
from pixvec.jobs.queue import MemoryChunkQueue
from pixvec.telemetry.metrics import BASES_REFUSED
from workers.base_upkeep import OPEN_S, BaseUpkeep
from workers.sweeper import Sweeper

DAY_S = 86_400.0
SPACE = Space("image", "means", 3, Metric.COSINE, "0" * 64)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 1e-3
        return self.now


class Side:
    """A shard whose feed stands at 9, held by one searcher, and what is backed up of it."""

    def __init__(self, folder: Path, truncates: bool = True) -> None:
        self.clock = Clock()
        self.catalogue = in_memory(self.clock)
        self.bases = self.catalogue.bases
        self.blobs = MemoryBlobStore()
        self.folder = folder
        self.upkeep = BaseUpkeep(self.bases, self.blobs, truncates=truncates, grace_s=7 * DAY_S, clock=self.clock)
        topology = self.catalogue.topology
        topology.heartbeat("s", "s", [], lease_s=1e9)
        photos = self.catalogue.collections.create("photos", [SPACE], 1)
        self.key = (photos.collection_id, 0)
        topology.heartbeat("s", "s", [ShardReport(*self.key, True, 9)], lease_s=1e9)

    def store(self, seq: int, finish: bool = True) -> BaseSnapshot | str:
        """Back the shard up: a segment that never changes, and rows that do."""
        opened = self.bases.begin(*self.key, self.epoch)
        files = [self.file("segment-a/vectors", b"a" * 100), self.file("snapshot/rows", b"%d" % seq)]
        new = NewBackup(opened.base_id, *self.key, opened.epoch, seq, 3)
        stored = store_backup(self.blobs, new, files, known_files(self.blobs, opened.known))
        if not finish:
            return opened.base_id
        content = BaseContent(seq, stored.manifest, stored.manifest_sha256, 3, stored.size_bytes)
        return self.bases.finish(opened.base_id, content)

    def file(self, path: str, content: bytes) -> ShardFile:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / digest).write_bytes(content)
        return ShardFile(path, self.folder / digest, len(content), digest)

    @property
    def epoch(self) -> str:
        return self.page(0).epoch

    @property
    def truncated_seq(self) -> int:
        return self.page(0).truncated_seq

    def page(self, after_seq: int):
        return self.catalogue.feed_reader.read(*self.key, after_seq, 10)

    def spoil(self, base: BaseSnapshot, path: str = "snapshot/rows") -> None:
        (name,) = (file.name for file in read_manifest(self.blobs, base).files if file.path == path)
        self.blobs.remove(name)


def refused() -> float:
    (metric,) = BASES_REFUSED.collect()
    return sum(sample.value for sample in metric.samples if sample.name.endswith("_total"))


def test_a_feed_begins_at_a_backup_that_was_read_through_right_before(tmp_path: Path) -> None:
    side = Side(tmp_path)
    side.store(5)
    side.upkeep.run()
    assert side.truncated_seq == 5
    side.store(9)
    side.upkeep.run()
    assert side.truncated_seq == 9


def test_no_feed_is_truncated_unless_that_is_asked_for(tmp_path: Path) -> None:
    side = Side(tmp_path, truncates=False)
    side.store(5)
    side.upkeep.run()
    assert side.truncated_seq == 0


def test_a_feed_never_begins_at_a_damaged_backup(tmp_path: Path) -> None:
    side = Side(tmp_path)
    base = side.store(5)
    side.spoil(base)
    before = refused()
    for _ in range(2):
        side.upkeep.run()
    assert side.truncated_seq == 0
    assert refused() == before + 1
    (listed,) = side.bases.of_collection()
    assert "missing" in listed.damage


def test_an_older_backup_that_is_whole_will_do(tmp_path: Path) -> None:
    side = Side(tmp_path)
    side.store(4)
    side.spoil(side.store(5))
    for _ in range(2):
        side.upkeep.run()
    assert side.truncated_seq == 4


def test_the_third_backup_goes_after_its_grace_and_shared_files_stay(tmp_path: Path) -> None:
    side = Side(tmp_path, truncates=False)
    made = [side.store(seq) for seq in (3, 4, 5)]
    side.upkeep.run()
    assert [base.seq for base in side.bases.of_collection()] == [5, 4]
    check_backup(side.blobs, made[0])
    side.clock.now += 7 * DAY_S - 60
    side.upkeep.run()
    check_backup(side.blobs, made[0])
    side.clock.now += 120
    side.upkeep.run()
    with pytest.raises(BackupDamaged):
        check_backup(side.blobs, made[0])
    for base in made[1:]:
        check_backup(side.blobs, base)
    assert len(side.bases.of_shard(*side.key)) == 2
    assert len(side.blobs.names("backups")) == 5


def test_what_a_crash_left_half_stored_goes(tmp_path: Path) -> None:
    side = Side(tmp_path, truncates=False)
    kept = side.store(3)
    before = sorted(side.blobs.names("backups"))
    side.store(4, finish=False)
    side.clock.now += OPEN_S - 60
    side.upkeep.run()
    assert len(side.blobs.names("backups")) == len(before) + 2
    side.clock.now += 120
    side.upkeep.run()
    side.clock.now += 7 * DAY_S + 60
    side.upkeep.run()
    assert sorted(side.blobs.names("backups")) == before
    check_backup(side.blobs, kept)


def test_the_backups_of_a_deleted_collection_go_after_their_grace(tmp_path: Path) -> None:
    side = Side(tmp_path)
    side.store(3)
    side.catalogue.collections.delete("photos")
    side.upkeep.run()
    assert len(side.blobs.names("backups")) == 3
    side.clock.now += 7 * DAY_S + 60
    side.upkeep.run()
    assert side.blobs.names("backups") == []
    assert side.bases.of_shard(*side.key) == []


def test_nothing_that_the_catalogue_does_not_know_of_is_removed(tmp_path: Path) -> None:
    side = Side(tmp_path)
    base = side.store(3)
    empty = BaseUpkeep(in_memory(side.clock).bases, side.blobs, truncates=True, grace_s=0, clock=side.clock)
    side.clock.now += 365 * DAY_S
    empty.run()
    check_backup(side.blobs, base)


def test_a_store_that_is_away_is_told_and_the_next_round_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("no blob store")

    side = Side(tmp_path)
    side.store(5)
    with monkeypatch.context() as outage:
        outage.setattr(side.blobs, "chunks", away)
        with pytest.raises(Unavailable):
            side.upkeep.run()
    assert side.truncated_seq == 0
    assert side.bases.of_collection()[0].is_sound
    side.upkeep.run()
    assert side.truncated_seq == 5


def sweeper(side: Side, upkeep: BaseUpkeep | None, truncates: bool) -> Sweeper:
    return Sweeper(
        side.catalogue,
        MemoryChunkQueue(),
        silence_s=10,
        replicas=1,
        bases=upkeep,
        truncates=truncates,
        clock=side.clock,
    )


def test_the_sweeper_has_it_done_beside_its_other_steps_a_round_at_a_time(tmp_path: Path) -> None:
    side, rounds, go_on = Side(tmp_path), [], threading.Event()

    class Slow(BaseUpkeep):
        def run(self) -> None:
            rounds.append(1)
            assert go_on.wait(30)
            super().run()

    side.store(5)
    upkeep = Slow(side.bases, side.blobs, truncates=True, grace_s=0, clock=side.clock)
    sweeping = sweeper(side, upkeep, truncates=True)
    for _ in range(3):
        sweeping.sweep()
        side.clock.now += 61
    assert rounds == [1]
    go_on.set()
    assert upkeep._running is not None
    upkeep._running.result(30)
    assert side.truncated_seq == 5
    for _ in range(2):
        sweeping.sweep()
    upkeep._running.result(30)
    assert rounds == [1, 1]
    upkeep.close()


def test_whoever_shuts_down_does_not_wait_for_the_whole_of_it(tmp_path: Path) -> None:
    side, reading, go_on = Side(tmp_path), threading.Event(), threading.Event()
    chunks = side.blobs.chunks

    def slow(name: str):
        reading.set()
        assert go_on.wait(30)
        return chunks(name)

    side.store(5)
    side.blobs.chunks = slow
    side.upkeep.sweep()
    assert reading.wait(30)
    closing = threading.Thread(target=side.upkeep.close)
    closing.start()
    while not side.upkeep._closed:
        pass
    go_on.set()
    closing.join(30)
    assert side.truncated_seq == 0


@pytest.mark.parametrize("truncates", [False, True])
def test_rows_go_only_where_feeds_are_truncated(
    tmp_path: Path, truncates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, pruned = Side(tmp_path), []
    monkeypatch.setattr(side.catalogue.feed_reader, "prune_truncated", lambda limit: pruned.append(limit) or 0)
    sweeper(side, None, truncates).sweep()
    assert bool(pruned) is truncates
