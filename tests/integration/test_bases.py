"""Backups of a searcher as a process: on a real database, a real disk and a blob store on another."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from sqlalchemy import create_engine, text

from pixvec.backups.checking import check_backup
from pixvec.blobs.store import FsspecBlobStore
from pixvec.domain import BaseSnapshot, Collection, SeqToken
from pixvec.internal.v1 import searcher_service_pb2 as pb
from tests.integration.searchers import LIMIT_S, SPACE, Caller, System, system_on, token, until
from workers.base_upkeep import BaseUpkeep

WRITTEN = range(260)


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    with system_on(database_url, tmp_path) as running:
        yield running


@pytest.fixture
def photos(system: System) -> Collection:
    return system.catalogue.collections.create("photos", [SPACE], 1)


class Backed:
    """A shard that is filled, searched, backed up, and whose feed is truncated."""

    def __init__(self, system: System, photos: Collection) -> None:
        self.system = system
        self.photos = photos
        self.blobs = FsspecBlobStore(system.blob_url)
        self.bases = system.catalogue.bases
        self.key = (photos.collection_id, 0)
        self.token = SeqToken()

    def write(self, numbers: Sequence[int]) -> None:
        self.token = self.token.merged(token(self.system.index(self.photos, numbers)))

    def delete(self, *numbers: int) -> None:
        names = [f"image-{number}" for number in numbers]
        deleted = self.system.catalogue.feed_writer.delete(self.photos.collection_id, names)
        self.token = self.token.merged(deleted.token)

    def answers(self, caller: Caller) -> list[list[str]]:
        return [caller.best(self.photos, number, self.token) for number in range(0, 300, 13)]

    def sealed(self) -> bool:
        return bool(list((self.system.folder / "data").glob("*/segment-*/vectors.faiss")))

    def back_up(self, caller: Caller) -> BaseSnapshot:
        request = pb.CreateBaseRequest(collection_id=self.photos.collection_id, shard=0)
        base_id = caller.stub.CreateBase(request, timeout=LIMIT_S).base_id
        (base,) = (each for each in self.bases.of_collection() if each.base_id == base_id)
        return base

    def upkeep(self) -> None:
        """Do what a sweeper does that may truncate feeds."""
        BaseUpkeep(self.bases, self.blobs, truncates=True, grace_s=0).run()
        while self.system.catalogue.feed_reader.prune_truncated(100):
            pass

    def truncate(self, base: BaseSnapshot) -> None:
        """Wait until the searcher has told that it has passed the base, and truncate."""
        until(lambda: base.base_id in {each.base_id for each in self.bases.truncatable()})
        self.upkeep()
        assert self.truncated_seq == base.seq

    @property
    def truncated_seq(self) -> int:
        return self.system.catalogue.feed_reader.read(*self.key, 0, 1).truncated_seq

    def lose_disk(self) -> None:
        shutil.rmtree(self.system.folder / "data")

    def largest_file(self) -> Path:
        files = (self.system.folder / "blobs" / "backups").glob("*/*/files/*")
        return max(files, key=lambda path: path.stat().st_size)


@pytest.fixture
def backed(system: System, photos: Collection) -> Backed:
    return Backed(system, photos)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_truncated_feed_and_a_lost_disk_answer_the_same(system: System, backed: Backed) -> None:
    backed.write(WRITTEN)
    with system.searcher() as process, Caller(system.address) as caller:
        backed.answers(caller)
        until(backed.sealed)
        backed.delete(7, 13, 26)
        backed.answers(caller)
        backed.truncate(backed.back_up(caller))
        backed.write(range(260, 290))
        backed.delete(39)
        expected = backed.answers(caller)
        rows = system.catalogue.feed_reader.read(*backed.key, backed.truncated_seq, 1000).entries
        assert len(rows) == 31
        process.kill()
    backed.lose_disk()
    with system.searcher() as process, Caller(system.address) as caller:
        assert backed.answers(caller) == expected
        assert "shard_begun_with_base" in system.log
        backed.write(range(290, 310))
        expected = backed.answers(caller)
        second = backed.back_up(caller)
        check_backup(backed.blobs, second)
        backed.truncate(second)
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    with system.searcher(), Caller(system.address) as caller:
        assert backed.answers(caller) == expected
    assert system.log.count("shard_begun_with_base") == 1


def test_a_damaged_backup_truncates_nothing_and_the_feed_brings_all_of_it_back(system: System, backed: Backed) -> None:
    backed.write(WRITTEN)
    with system.searcher() as process, Caller(system.address) as caller:
        expected = backed.answers(caller)
        base = backed.back_up(caller)
        flip(backed.largest_file())
        until(lambda: bool(backed.bases.truncatable()))
        backed.upkeep()
        assert backed.truncated_seq == 0
        (listed,) = backed.bases.of_collection()
        assert (listed.base_id, listed.is_sound) == (base.base_id, False)
        assert "not what was written" in listed.damage
        process.kill()
    backed.lose_disk()
    with system.searcher(), Caller(system.address) as caller:
        assert backed.answers(caller) == expected
    assert "base_not_used" in system.log
    assert "shard_begun_with_base" not in system.log


def test_a_backup_that_is_damaged_after_the_truncation_is_never_served_from(system: System, backed: Backed) -> None:
    backed.write(WRITTEN)
    with system.searcher() as process, Caller(system.address) as caller:
        expected = backed.answers(caller)
        backed.truncate(backed.back_up(caller))
        process.kill()
    backed.lose_disk()
    flip(backed.largest_file())
    with system.searcher() as process, Caller(system.address) as caller:
        until(lambda: "shard_cannot_begin" in system.log)
        status = caller.stub.Status(pb.StatusRequest(), timeout=LIMIT_S, wait_for_ready=True)
        assert [(shard.ready, shard.image_count) for shard in status.shards] == [(False, 0)]
        process.kill()
    flip(backed.largest_file())
    with system.searcher(), Caller(system.address) as caller:
        assert backed.answers(caller) == expected
    assert backed.bases.of_collection()[0].is_sound


@pytest.mark.parametrize("files", [0, 1, 2])
def test_a_searcher_killed_while_it_stores_a_backup_loses_nothing(system: System, backed: Backed, files: int) -> None:
    backed.write(WRITTEN)
    with system.searcher() as process, Caller(system.address) as caller:
        backed.answers(caller)
        first = backed.back_up(caller)
        stored = len(backed.blobs.names("backups"))
        backed.write(range(260, 280))
        expected = backed.answers(caller)
        request = pb.CreateBaseRequest(collection_id=backed.photos.collection_id, shard=0)
        call = caller.stub.CreateBase.future(request, timeout=LIMIT_S)
        until(lambda: call.done() or len(backed.blobs.names("backups")) >= stored + files)
        process.kill()
        with suppress(grpc.RpcError):
            call.result()
    check_backup(backed.blobs, first)
    backed.upkeep()
    assert backed.truncated_seq in {0, *(base.seq for base in backed.bases.of_collection())}
    backed.lose_disk()
    with system.searcher(), Caller(system.address) as caller:
        assert backed.answers(caller) == expected
        again = backed.back_up(caller)
        check_backup(backed.blobs, again)
        assert (again.image_count, again.seq) == (280, 280)


def test_a_searcher_killed_while_it_fetches_a_backup_fetches_it_again(system: System, backed: Backed) -> None:
    backed.write(WRITTEN)
    with system.searcher() as process, Caller(system.address) as caller:
        expected = backed.answers(caller)
        backed.truncate(backed.back_up(caller))
        process.kill()
    backed.lose_disk()
    for _ in range(3):
        with system.searcher() as process:
            until(lambda: bool(list((system.folder / "data").glob("*/incoming-*"))) or begun(system))
            process.kill()
    with system.searcher(), Caller(system.address) as caller:
        assert backed.answers(caller) == expected
        left = {path.name.split("-")[0] for path in (system.folder / "data").glob("*/*")}
        assert left <= {"segment", "snapshot"}


def begun(system: System) -> bool:
    return "shard_begun_with_base" in system.log


def test_a_restore_brings_back_what_the_feed_has_lost(system: System, backed: Backed) -> None:
    backed.write(WRITTEN)
    with system.searcher(), Caller(system.address) as caller:
        backed.answers(caller)
        base = backed.back_up(caller)
        backed.delete(13)
        backed.write(range(260, 280))
        expected = backed.answers(caller)
        engine = create_engine(system.database_url)
        with engine.begin() as connection:
            # By accident: all that the snapshot holds, and nothing above it.
            connection.execute(text("DELETE FROM feed WHERE seq <= :seq"), {"seq": base.seq})
        engine.dispose()
        (position,) = backed.bases.restore(backed.photos.collection_id, {0: base.base_id})
        backed.token = SeqToken((position,))
        assert backed.answers(caller) == expected
        assert begun(system)
