"""What is relied on of the blob store, in memory, on a local disk and behind fsspec."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from pixvec.blobs.store import FileStore, FsspecBlobStore, MemoryBlobStore
from pixvec.errors import ContentNotFound, Unavailable


@pytest.fixture(params=["memory", "local", "fsspec"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileStore]:
    if request.param == "memory":
        yield MemoryBlobStore()
    elif request.param == "local":
        yield FsspecBlobStore(f"file://{tmp_path}/blobs")
    else:
        yield FsspecBlobStore("memory://bucket/pixvec")
        fsspec.filesystem("memory").store.clear()


def test_what_was_put_is_got_by_its_hash(blobs: FileStore) -> None:
    content_hash = blobs.put(b"a picture")
    assert content_hash == hashlib.sha256(b"a picture").hexdigest()
    assert blobs.get(content_hash) == b"a picture"


def test_each_of_many_is_got_by_its_own_hash(blobs: FileStore) -> None:
    contents = [b"%d" % number for number in (3, 1, 2, 1)]
    hashes = [blobs.put(content) for content in contents]
    assert [blobs.get(content_hash) for content_hash in hashes] == contents


def test_empty_bytes_are_bytes(blobs: FileStore) -> None:
    assert blobs.get(blobs.put(b"")) == b""


def test_putting_twice_changes_nothing(blobs: FileStore) -> None:
    assert blobs.put(b"twice") == blobs.put(b"twice")
    assert blobs.get(blobs.put(b"twice")) == b"twice"


def test_an_unknown_hash_is_not_found(blobs: FileStore) -> None:
    with pytest.raises(ContentNotFound, match="send the picture again"):
        blobs.get("ab" * 32)


@pytest.mark.parametrize("content_hash", ["", "ab", "../../etc/passwd", "AB" * 32, "g" * 64])
def test_what_is_no_hash_is_not_found(blobs: FileStore, content_hash: str) -> None:
    with pytest.raises(ContentNotFound, match="64 hexadecimal digits"):
        blobs.get(content_hash)


def test_the_first_of_a_name_stays(blobs: FileStore) -> None:
    blobs.put_named("thumbnails/x-256.jpg", b"first")
    blobs.put_named("thumbnails/x-256.jpg", b"second")
    assert blobs.get_named("thumbnails/x-256.jpg") == b"first"


def test_an_unknown_name_is_not_found(blobs: FileStore) -> None:
    with pytest.raises(ContentNotFound):
        blobs.get_named("thumbnails/none.jpg")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../outside", "a/../../outside", "incoming/x"])
def test_a_name_stays_inside(blobs: FileStore, name: str) -> None:
    with pytest.raises(ContentNotFound, match="relative path"):
        blobs.put_named(name, b"x")
    with pytest.raises(ContentNotFound, match="relative path"):
        blobs.get_named(name)
    with pytest.raises(ContentNotFound, match="relative path"):
        blobs.remove(name)


def test_a_file_comes_back_piece_by_piece(blobs: FileStore, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(b"0123456789" * 300_000)
    blobs.put_file("backups/1/large", source)
    assert b"".join(blobs.chunks("backups/1/large")) == blobs.get_named("backups/1/large") == source.read_bytes()


def test_the_first_file_of_a_name_stays(blobs: FileStore, tmp_path: Path) -> None:
    blobs.put_named("backups/1/x", b"first")
    (tmp_path / "second").write_bytes(b"second")
    blobs.put_file("backups/1/x", tmp_path / "second")
    assert blobs.get_named("backups/1/x") == b"first"


def test_a_file_that_is_not_there_is_not_put(blobs: FileStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        blobs.put_file("backups/1/x", tmp_path / "nothing")
    with pytest.raises(ContentNotFound):
        list(blobs.chunks("backups/1/x"))


def test_names_below_a_folder_and_their_removal(blobs: FileStore) -> None:
    assert blobs.names("backups/1") == []
    for name in ("backups/1/0/a", "backups/1/b", "backups/10/c", "thumbnails/backups/1/d"):
        blobs.put_named(name, b"x")
    assert sorted(blobs.names("backups/1")) == ["backups/1/0/a", "backups/1/b"]
    for _ in range(2):
        blobs.remove("backups/1/0/a")
    assert blobs.names("backups/1") == ["backups/1/b"]
    assert blobs.get_named("backups/10/c") == b"x"


def test_many_writers_of_the_same_bytes_agree(blobs: FileStore) -> None:
    content = b"contended" * 10_000
    together = threading.Barrier(8)

    def put(_: int) -> str:
        together.wait()
        return blobs.put(content)

    with ThreadPoolExecutor(8) as pool:
        hashes = set(pool.map(put, range(8)))
    assert hashes == {hashlib.sha256(content).hexdigest()}
    assert blobs.get(hashes.pop()) == content


class ClientError(Exception):
    """What a cloud's client raises: of no class that anyone else knows."""


@pytest.mark.parametrize("call", ["exists", "pipe_file", "cat_file"])
def test_whatever_a_remote_stores_client_raises_means_unavailable(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def down(*_: object, **__: object) -> None:
        raise ClientError("SlowDown: please reduce your request rate")

    blobs = FsspecBlobStore("memory://bucket/pixvec")
    monkeypatch.setattr(fsspec.filesystem("memory"), call, down)
    with pytest.raises(Unavailable, match="SlowDown"):
        blobs.get(blobs.put(b"a picture"))
    fsspec.filesystem("memory").store.clear()
