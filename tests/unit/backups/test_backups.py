"""What is stored comes back or is refused, is stored once, and goes only when nobody needs it."""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pixvec.backups.checking import check_backup
from pixvec.backups.fetching import fetch_files
from pixvec.backups.manifest import read_manifest
from pixvec.backups.removing import remove_backup
from pixvec.backups.storing import NewBackup, ShardFile, known_files, store_backup
from pixvec.blobs.store import MemoryBlobStore
from pixvec.domain import BaseSnapshot
from pixvec.errors import BackupDamaged, Unavailable

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Blobs(MemoryBlobStore):
    """A store that keeps count of what is written, and can be told to fail at a write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.fails_at: int | None = None

    def put_named(self, name: str, content: bytes) -> None:
        if self.fails_at == len(self.written):
            raise Unavailable("the blob store is full")
        self.written.append(name)
        super().put_named(name, content)

    def spoil(self, name: str, content: bytes | None) -> None:
        if content is None:
            del self._blobs[name]
        else:
            self._blobs[name] = content


def shard_file(folder: Path, path: str, content: bytes) -> ShardFile:
    source = folder / hashlib.sha256(path.encode() + content).hexdigest()
    source.write_bytes(content)
    return ShardFile(path, source, len(content), hashlib.sha256(content).hexdigest())


def store(
    blobs: Blobs, folder: Path, number: int, contents: dict[str, bytes], known: Sequence[BaseSnapshot] = ()
) -> tuple[BaseSnapshot, int]:
    """Store a backup; return its row and how many bytes had to be sent."""
    new = NewBackup(f"base-{number}", 3, 1, "epoch", number, 10)
    files = [shard_file(folder, path, content) for path, content in contents.items()]
    stored = store_backup(blobs, new, files, known_files(blobs, known))
    row = BaseSnapshot(
        new.base_id,
        3,
        1,
        "epoch",
        "epoch",
        number,
        NOW,
        stored.manifest,
        stored.manifest_sha256,
        10,
        stored.size_bytes,
        verified_at=NOW,
    )
    return row, stored.stored_bytes


FIRST = {"segment-a/vectors": b"a" * 1000, "segment-a/ids": b"ids", "snapshot/rows": b"one", "snapshot/empty": b""}
SECOND = {"segment-a/vectors": b"a" * 1000, "segment-a/ids": b"ids", "snapshot/rows": b"other rows"}


def test_a_backup_comes_back_file_by_file(tmp_path: Path) -> None:
    blobs = Blobs()
    base, sent = store(blobs, tmp_path, 1, FIRST)
    assert (sent, base.size_bytes) == (1006, 1006)
    manifest = check_backup(blobs, base)
    assert (manifest.seq, manifest.epoch, manifest.image_count) == (1, "epoch", 10)
    target = tmp_path / "fetched"
    target.mkdir()
    fetch_files(blobs, manifest.files, target)
    fetched = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert fetched == FIRST


def test_what_an_earlier_backup_holds_is_not_sent_again(tmp_path: Path) -> None:
    blobs = Blobs()
    first, _ = store(blobs, tmp_path, 1, FIRST)
    blobs.written.clear()
    second, sent = store(blobs, tmp_path, 2, SECOND, [first])
    assert sent == len(b"other rows")
    assert len(blobs.written) == 2
    names = {file.path: file.name for file in read_manifest(blobs, first).files}
    assert all(file.name == names[file.path] for file in check_backup(blobs, second).files if "segment" in file.path)


def test_the_same_bytes_twice_in_a_shard_are_sent_once(tmp_path: Path) -> None:
    blobs = Blobs()
    _, sent = store(blobs, tmp_path, 1, {"a": b"same", "b": b"same"})
    assert (sent, len(blobs.written)) == (4, 2)


@pytest.mark.parametrize("damage", [None, b"", b"a" * 999 + b"b", b"a" * 1001], ids=["gone", "empty", "flip", "long"])
def test_a_damaged_file_is_noticed_and_stored_anew_by_the_next_backup(tmp_path: Path, damage: bytes | None) -> None:
    blobs = Blobs()
    first, _ = store(blobs, tmp_path, 1, FIRST)
    (name,) = (file.name for file in read_manifest(blobs, first).files if file.path == "segment-a/vectors")
    blobs.spoil(name, damage)
    with pytest.raises(BackupDamaged, match="segment-a/vectors"):
        check_backup(blobs, first)
    target = tmp_path / "fetched"
    target.mkdir()
    with pytest.raises(BackupDamaged, match="segment-a/vectors"):
        fetch_files(blobs, read_manifest(blobs, first).files, target)
    second, sent = store(blobs, tmp_path, 2, SECOND, [first])
    assert sent == 1000 + len(b"other rows")
    check_backup(blobs, second)


@pytest.mark.parametrize("damage", [None, b"{}"])
def test_a_damaged_manifest_is_noticed_and_no_file_is_taken_from_it(tmp_path: Path, damage: bytes | None) -> None:
    blobs = Blobs()
    first, _ = store(blobs, tmp_path, 1, FIRST)
    blobs.spoil(first.manifest, damage)
    with pytest.raises(BackupDamaged, match=r"base-1\.json"):
        check_backup(blobs, first)
    second, sent = store(blobs, tmp_path, 2, SECOND, [first])
    assert sent == second.size_bytes
    check_backup(blobs, second)


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "segment/../../outside"])
def test_a_manifest_cannot_name_a_place_outside(tmp_path: Path, path: str) -> None:
    blobs = Blobs()
    base, _ = store(blobs, tmp_path, 1, FIRST)
    fields = json.loads(blobs.get_named(base.manifest))
    fields["files"][0]["path"] = path
    content = json.dumps(fields).encode()
    blobs.spoil(base.manifest, content)
    with pytest.raises(BackupDamaged, match="outside the shard's folder"):
        read_manifest(blobs, replace(base, manifest_sha256=hashlib.sha256(content).hexdigest()))


def test_a_source_that_has_changed_on_the_disk_makes_no_backup(tmp_path: Path) -> None:
    blobs = Blobs()
    file = shard_file(tmp_path, "segment-a/vectors", b"as written")
    file.source.write_bytes(b"as rotten!")
    with pytest.raises(BackupDamaged, match="not what was written"):
        store_backup(blobs, NewBackup("base-1", 3, 1, "epoch", 1, 10), [file])
    assert blobs.names("backups/3/1/manifests") == []


def test_a_backup_that_broke_off_anywhere_leaves_the_earlier_one_whole_and_can_be_removed(tmp_path: Path) -> None:
    whole = Blobs()
    store(whole, tmp_path, 1, FIRST)
    store(whole, tmp_path, 2, {**SECOND, "snapshot/more": b"more"}, [])
    steps = len(whole.written) - 5
    for step in range(steps):
        blobs = Blobs()
        first, _ = store(blobs, tmp_path, 1, FIRST)
        before = sorted(blobs.names("backups"))
        blobs.fails_at = len(blobs.written) + step
        with pytest.raises(Unavailable):
            store(blobs, tmp_path, 2, {**SECOND, "snapshot/more": b"more"})
        check_backup(blobs, first)
        broken = BaseSnapshot("base-2", 3, 1, "epoch", "epoch", 0, NOW)
        assert remove_backup(blobs, broken, [first]) == step
        assert sorted(blobs.names("backups")) == before
    assert steps == 5


def test_only_what_no_other_backup_needs_is_removed(tmp_path: Path) -> None:
    blobs = Blobs()
    first, _ = store(blobs, tmp_path, 1, FIRST)
    second, _ = store(blobs, tmp_path, 2, SECOND, [first])
    third, _ = store(blobs, tmp_path, 3, SECOND, [second])
    assert remove_backup(blobs, first, [second, third]) == 2
    for base in (second, third):
        check_backup(blobs, base)
    assert remove_backup(blobs, second, [third]) == 0
    check_backup(blobs, third)
    assert remove_backup(blobs, third, []) == 3
    assert blobs.names("backups") == []


def test_a_removal_that_was_interrupted_is_taken_up_again(tmp_path: Path) -> None:
    class Interrupted(Blobs):
        left = 1

        def remove(self, name: str) -> None:
            if not self.left:
                raise Unavailable("gone away")
            self.left -= 1
            super().remove(name)

    blobs = Interrupted()
    first, _ = store(blobs, tmp_path, 1, FIRST)
    second, _ = store(blobs, tmp_path, 2, SECOND, [first])
    with pytest.raises(Unavailable):
        remove_backup(blobs, first, [second])
    blobs.left = 100
    remove_backup(blobs, first, [second])
    remove_backup(blobs, first, [second])
    assert sorted(blobs.names("backups")) == sorted(
        [second.manifest, *(file.name for file in check_backup(blobs, second).files)]
    )


def test_nothing_is_removed_while_it_cannot_be_told_what_others_need(tmp_path: Path) -> None:
    blobs = Blobs()
    first, _ = store(blobs, tmp_path, 1, FIRST)
    second, _ = store(blobs, tmp_path, 2, SECOND, [first])
    kept = blobs.get_named(second.manifest)
    blobs.spoil(second.manifest, None)
    with pytest.raises(BackupDamaged):
        remove_backup(blobs, first, [second])
    blobs.spoil(second.manifest, kept)
    check_backup(blobs, first)
    check_backup(blobs, second)


def test_a_fetch_ends_when_it_is_no_longer_wanted(tmp_path: Path) -> None:
    class Unwanted(Exception):
        pass

    blobs, asked = Blobs(), []
    base, _ = store(blobs, tmp_path, 1, FIRST)

    def go_on() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Unwanted

    target = tmp_path / "fetched"
    target.mkdir()
    with pytest.raises(Unwanted):
        fetch_files(blobs, read_manifest(blobs, base).files, target, go_on)
    assert len([path for path in target.rglob("*") if path.is_file()]) == 3
