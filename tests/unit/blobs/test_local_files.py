import os
from pathlib import Path

import pytest

from pixvec.blobs.local_files import LocalFiles
from pixvec.blobs.store import FsspecBlobStore
from pixvec.errors import Unavailable


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FsspecBlobStore(f"file://{tmp_path}")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", no_space)
    with pytest.raises(Unavailable, match="No space left"):
        blobs.put(b"too much")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_bytes_are_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, rename = os.fdatasync, Path.rename
    monkeypatch.setattr(os, "fdatasync", lambda fd: (steps.append("bytes"), sync(fd))[1])
    monkeypatch.setattr(Path, "rename", lambda path, target: (steps.append("name"), rename(path, target))[1])
    monkeypatch.setattr(os, "fsync", lambda fd: steps.append(f"folder {Path(f'/proc/self/fd/{fd}').readlink()}"))
    LocalFiles(tmp_path).write("ab/cd/x", b"1")
    assert steps == [f"folder {tmp_path}", f"folder {tmp_path}/ab", "bytes", "name", f"folder {tmp_path}/ab/cd"]


def test_what_a_killed_writer_left_is_swept_in_time(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.write("x", b"1")
    old, fresh = tmp_path / "incoming" / "old.1.1", tmp_path / "incoming" / "fresh.1.1"
    for left in (old, fresh):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    files.sweep()
    assert not old.exists()
    assert fresh.exists()
    assert files.read("x") == b"1"


def test_an_address_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Unavailable, match="no blob store can be opened at nosuch://x"):
        FsspecBlobStore("nosuch://x")
