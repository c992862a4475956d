"""Bytes on their way out: still got while they are aside, written anew by a put, gone once they are freed."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest

from pixvec.blobs.attic import PARTS, Attic
from pixvec.blobs.store import THUMBNAIL_SIDE, FileStore, FsspecBlobStore, MemoryBlobStore, thumbnail_of
from pixvec.errors import ContentNotFound

HOUR_S = 3600.0


@dataclass
class Store:
    """A store and its attic; `pass_an_hour` makes everything in it an hour older."""

    blobs: FileStore
    pass_an_hour: Callable[[], None]

    @property
    def attic(self) -> Attic:
        return Attic(self.blobs)

    def kept(self) -> set[str]:
        return {each for part in range(PARTS) for each in self.attic.kept(part)}

    def aside(self, for_s: float = 0.0) -> set[str]:
        return {each for part in range(PARTS) for each in self.attic.aside(part, for_s)}


def in_memory() -> Store:
    now = [0.0]

    def pass_an_hour() -> None:
        now[0] += HOUR_S

    def clock() -> float:
        now[0] += 0.001
        return now[0]

    return Store(MemoryBlobStore(clock), pass_an_hour)


def on_disk(folder: Path) -> Store:
    def pass_an_hour() -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                os.utime(path, (path.stat().st_mtime - HOUR_S,) * 2)

    return Store(FsspecBlobStore(folder.as_uri()), pass_an_hour)


def remote() -> Store:
    def pass_an_hour() -> None:
        for file in fsspec.filesystem("memory").store.values():
            file.modified -= timedelta(seconds=HOUR_S)

    return Store(FsspecBlobStore("memory://bucket/pixvec"), pass_an_hour)


@pytest.fixture(params=["memory", "local", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield {"memory": in_memory, "local": lambda: on_disk(tmp_path), "fsspec": remote}[request.param]()
    fsspec.filesystem("memory").store.clear()


def test_what_is_kept_is_listed_and_nothing_else_is(store: Store) -> None:
    hashes = {store.blobs.put(b"%d" % number) for number in range(300)}
    store.blobs.put_named(thumbnail_of("ab" * 32, 256), b"x")
    store.blobs.put_named("ab/cd/no hash", b"x")
    store.blobs.put_named(f"ab/ef/{'ab' * 32}", b"not in its place")
    assert store.kept() == hashes
    assert store.attic.kept(0xAB) == sorted(each for each in hashes if each.startswith("ab"))
    assert store.aside() == set()


def test_what_is_aside_is_got_all_the_same(store: Store) -> None:
    content_hash = store.blobs.put(b"a picture")
    store.attic.set_aside(content_hash)
    assert (store.kept(), store.aside()) == (set(), {content_hash})
    assert store.blobs.get(content_hash) == b"a picture"


def test_it_is_told_for_how_long_it_has_been_aside_not_how_old_it_is(store: Store) -> None:
    content_hash = store.blobs.put(b"a picture")
    store.pass_an_hour()
    store.attic.set_aside(content_hash)
    assert store.aside(HOUR_S / 2) == set()
    store.pass_an_hour()
    assert store.aside(HOUR_S / 2) == {content_hash}
    assert store.aside(HOUR_S * 2) == set()


def test_what_is_freed_is_gone_with_its_thumbnail(store: Store) -> None:
    content_hash = store.blobs.put(b"a picture")
    name = thumbnail_of(content_hash, THUMBNAIL_SIDE)
    store.blobs.put_named(name, b"small")
    store.attic.set_aside(content_hash)
    store.attic.free(content_hash)
    for get in (lambda: store.blobs.get(content_hash), lambda: store.blobs.get_named(name)):
        with pytest.raises(ContentNotFound):
            get()
    assert (store.kept(), store.aside()) == (set(), set())


def test_what_is_taken_back_is_in_its_place(store: Store) -> None:
    content_hash = store.blobs.put(b"a picture")
    store.attic.set_aside(content_hash)
    store.attic.take_back(content_hash)
    assert (store.kept(), store.aside()) == ({content_hash}, set())
    assert store.blobs.get(content_hash) == b"a picture"


@pytest.mark.parametrize("end", [Attic.free, Attic.take_back])
def test_what_is_put_while_it_is_aside_stays(store: Store, end: Callable[[Attic, str], None]) -> None:
    content_hash = store.blobs.put(b"a picture")
    store.attic.set_aside(content_hash)
    assert store.blobs.put(b"a picture") == content_hash
    assert (store.kept(), store.aside()) == ({content_hash}, {content_hash})
    end(store.attic, content_hash)
    assert (store.kept(), store.aside()) == ({content_hash}, set())
    assert store.blobs.get(content_hash) == b"a picture"


def test_two_at_work_on_the_same_bytes_do_no_harm(store: Store) -> None:
    content_hash = store.blobs.put(b"a picture")
    for step in (Attic.set_aside, Attic.take_back, Attic.set_aside, Attic.free):
        step(store.attic, content_hash)
        step(store.attic, content_hash)
    assert (store.kept(), store.aside()) == (set(), set())


def test_nothing_has_an_age_that_is_not_there(store: Store) -> None:
    with pytest.raises(ContentNotFound):
        store.blobs.age_s("nothing")
