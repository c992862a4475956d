"""Picture bytes by their SHA-256, and things derived from them by name. Nothing is ever changed once written."""

import datetime as dt
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import fsspec

from pixvec.blobs.local_files import CHUNK_BYTES, LocalFiles
from pixvec.errors import ContentNotFound, PixvecError, Unavailable

ASIDE = "aside"
THUMBNAIL_SIDE = 256
_HASH = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """Keeps bytes. Thread-safe. What a method that writes has returned for is durable. Every method raises
    Unavailable when the store cannot be reached, is full, or refuses."""

    def put(self, content: bytes) -> str:
        """Keep bytes, and return their SHA-256, 64 hexadecimal digits. Bytes that are kept already cost little."""
        ...

    def get(self, content_hash: str) -> bytes:
        """Raises ContentNotFound."""
        ...

    def put_named(self, name: str, content: bytes) -> None:
        """Keep something derived under a relative path; what is there under that name stays."""
        ...

    def get_named(self, name: str) -> bytes:
        """Raises ContentNotFound."""
        ...


class FileStore(BlobStore, Protocol):
    """Keeps files of any size as well, by name: none is ever whole in memory."""

    def put_file(self, name: str, source: Path) -> None:
        """Keep a copy of a file; what is there under that name stays. Raises OSError when `source` cannot be read."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield what is kept under a name, piece by piece. Raises ContentNotFound."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of everything below a folder."""
        ...

    def move(self, name: str, other: str) -> None:
        """Keep this under another name; nothing happens where there is none."""
        ...

    def age_s(self, name: str) -> float:
        """Return for how long this has been kept under this name, in seconds. Raises ContentNotFound."""
        ...

    def remove(self, name: str) -> None:
        """Keep this no longer; nothing happens where there is none."""
        ...


class MemoryBlobStore:
    """A FileStore in this process, for tests."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._blobs: dict[str, bytes] = {}
        self._since: dict[str, float] = {}
        self._clock = clock

    def put(self, content: bytes) -> str:
        """See BlobStore."""
        content_hash = hashlib.sha256(content).hexdigest()
        self.put_named(path_of(content_hash), content)
        return content_hash

    def get(self, content_hash: str) -> bytes:
        """See BlobStore."""
        return _get_kept(self, content_hash)

    def put_named(self, name: str, content: bytes) -> None:
        """See BlobStore."""
        if _checked(name) not in self._blobs:
            self._blobs[_checked(name)], self._since[_checked(name)] = content, self._clock()

    def get_named(self, name: str) -> bytes:
        """See BlobStore."""
        try:
            return self._blobs[_checked(name)]
        except KeyError:
            raise _gone(name, "memory") from None

    def put_file(self, name: str, source: Path) -> None:
        """See FileStore."""
        self.put_named(name, source.read_bytes())

    def chunks(self, name: str) -> Iterator[bytes]:
        """See FileStore."""
        yield self.get_named(name)

    def names(self, folder: str) -> list[str]:
        """See FileStore."""
        return [name for name in self._blobs if name.startswith(f"{_checked(folder)}/")]

    def move(self, name: str, other: str) -> None:
        """See FileStore."""
        if _checked(name) in self._blobs:
            self._blobs[_checked(other)], self._since[_checked(other)] = self._blobs.pop(_checked(name)), self._clock()

    def age_s(self, name: str) -> float:
        """See FileStore."""
        self.get_named(name)
        return self._clock() - self._since[_checked(name)]

    def remove(self, name: str) -> None:
        """See FileStore."""
        self._blobs.pop(_checked(name), None)


class FsspecBlobStore:
    """A FileStore at an fsspec address: `file:///data/blobs`, `s3://bucket/pixvec`, … Raises Unavailable for an address
    of a kind that is not installed. On a local disk writes survive a loss of power."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._files = _files_at(url)

    def put(self, content: bytes) -> str:
        """See BlobStore."""
        content_hash = hashlib.sha256(content).hexdigest()
        self.put_named(path_of(content_hash), content)
        return content_hash

    def get(self, content_hash: str) -> bytes:
        """See BlobStore."""
        return _get_kept(self, content_hash)

    def put_named(self, name: str, content: bytes) -> None:
        """See BlobStore."""
        with _translated(self._url):
            self._files.write(_checked(name), content)

    def get_named(self, name: str) -> bytes:
        """See BlobStore."""
        with _translated(self._url), _found(name, self._url):
            return self._files.read(_checked(name))

    def put_file(self, name: str, source: Path) -> None:
        """See FileStore."""
        # What is wrong with the source is not the store's fault.
        source.open("rb").close()
        with _translated(self._url):
            self._files.copy(_checked(name), source)

    def chunks(self, name: str) -> Iterator[bytes]:
        """See FileStore."""
        with _translated(self._url), _found(name, self._url):
            yield from self._files.chunks(_checked(name))

    def names(self, folder: str) -> list[str]:
        """See FileStore."""
        with _translated(self._url):
            return self._files.names(_checked(folder))

    def move(self, name: str, other: str) -> None:
        """See FileStore."""
        with _translated(self._url):
            self._files.move(_checked(name), _checked(other))

    def age_s(self, name: str) -> float:
        """See FileStore."""
        with _translated(self._url), _found(name, self._url):
            return self._files.age_s(_checked(name))

    def remove(self, name: str) -> None:
        """See FileStore."""
        with _translated(self._url):
            self._files.remove(_checked(name))


class _Files(Protocol):
    def write(self, name: str, content: bytes) -> None: ...

    def read(self, name: str) -> bytes: ...

    def copy(self, name: str, source: Path) -> None: ...

    def chunks(self, name: str) -> Iterator[bytes]: ...

    def names(self, folder: str) -> list[str]: ...

    def move(self, name: str, other: str) -> None: ...

    def age_s(self, name: str) -> float: ...

    def remove(self, name: str) -> None: ...


class _RemoteFiles:
    """Objects of a store that shows an object whole or not at all."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def write(self, name: str, content: bytes) -> None:
        path = f"{self._root}/{name}"
        if not self._filesystem.exists(path):
            self._filesystem.pipe_file(path, content)

    def read(self, name: str) -> bytes:
        content: bytes = self._filesystem.cat_file(f"{self._root}/{name}")
        return content

    def copy(self, name: str, source: Path) -> None:
        path = f"{self._root}/{name}"
        if not self._filesystem.exists(path):
            self._filesystem.put_file(str(source), path)

    def chunks(self, name: str) -> Iterator[bytes]:
        with self._filesystem.open(f"{self._root}/{name}", "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def names(self, folder: str) -> list[str]:
        # What another process has just written is to be seen.
        self._filesystem.invalidate_cache()
        below = self._filesystem.find(f"{self._root}/{folder}")
        return [path[path.index(self._root) + len(self._root) + 1 :] for path in below]

    def move(self, name: str, other: str) -> None:
        with suppress(FileNotFoundError):
            self._filesystem.cp_file(f"{self._root}/{name}", f"{self._root}/{other}")
            self._filesystem.rm_file(f"{self._root}/{name}")

    def age_s(self, name: str) -> float:
        since: dt.datetime = self._filesystem.modified(f"{self._root}/{name}")
        return time.time() - (since if since.tzinfo else since.replace(tzinfo=dt.UTC)).timestamp()

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._filesystem.rm_file(f"{self._root}/{name}")


def _files_at(url: str) -> _Files:
    with _translated(url):
        try:
            filesystem, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise Unavailable(f"no blob store can be opened at {url}: {error}; install what it needs") from error
        if "file" not in filesystem.protocol:
            return _RemoteFiles(filesystem, root)
        local = LocalFiles(Path(root))
        local.sweep()
        return local


def is_hash(text: str) -> bool:
    """Whether this is a SHA-256 as it is written here."""
    return _HASH.fullmatch(text) is not None


def path_of(content_hash: str) -> str:
    """Return the name under which a picture's bytes are kept. Raises ContentNotFound for what is no hash."""
    if not is_hash(content_hash):
        raise ContentNotFound(f"{content_hash!r} is no SHA-256: expected 64 hexadecimal digits")
    return f"{content_hash[:2]}/{content_hash[2:4]}/{content_hash}"


def aside_of(content_hash: str) -> str:
    """Return the name of bytes that are on their way out: see `Attic`."""
    return f"{ASIDE}/{path_of(content_hash)}"


def thumbnail_of(content_hash: str, side: int) -> str:
    """Return the name of a picture's thumbnail of that many pixels."""
    return f"thumbnails/{content_hash}-{side}.jpg"


def _get_kept(store: BlobStore, content_hash: str) -> bytes:
    for name in (path_of(content_hash), aside_of(content_hash)):
        with suppress(ContentNotFound):
            return store.get_named(name)
    # It may have been taken back in between.
    return store.get_named(path_of(content_hash))


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or path.parts[0] == "incoming":
        raise ContentNotFound(f"{name!r} is no name in a blob store: expected a relative path")
    return str(path)


def _gone(name: str, place: str) -> ContentNotFound:
    return ContentNotFound(f"{name} is not in the blob store at {place}; send the picture again")


@contextmanager
def _found(name: str, url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _gone(name, url) from None


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except PixvecError:
        raise
    except Exception as error:  # the clients of remote stores raise what they like
        raise Unavailable(f"the blob store at {url} failed: {error}; check its disk, rights and network") from error
