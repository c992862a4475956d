"""Files on this machine's disk that are either not there or whole, whatever happens while they are written."""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pixvec.disk import sync_folder

_STALE_S = 3600
# Of a large file that is in memory at a time.
CHUNK_BYTES = 2**20


class LocalFiles:
    """Immutable files below `root`. A file that `write` has returned for outlives a loss of power."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"

    def write(self, name: str, content: bytes) -> None:
        """Write a file, making its folders; a file of that name that is there stays as it is."""
        self._write(name, [content])

    def copy(self, name: str, source: Path) -> None:
        """Write what is in `source`, as `write` does. Raises FileNotFoundError."""
        with source.open("rb") as file:
            self._write(name, _chunks(file.fileno()))

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file piece by piece. Raises FileNotFoundError."""
        with (self._root / name).open("rb", buffering=0) as file:
            yield from _chunks(file.fileno())

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder; none where there is no such folder."""
        return [str(path.relative_to(self._root)) for path in (self._root / folder).rglob("*") if path.is_file()]

    def move(self, name: str, other: str) -> None:
        """Give a file another name, if it is there; it is as old as that name from then on."""
        path, target = self._root / name, self._root / other
        try:
            os.utime(path)
            self._make_folder(target.parent)
            path.rename(target)
        except FileNotFoundError:
            return
        sync_folder(target.parent)

    def age_s(self, name: str) -> float:
        """Return for how long a file has had this name. Raises FileNotFoundError."""
        return time.time() - (self._root / name).stat().st_mtime

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self._root / name).unlink(missing_ok=True)

    def _write(self, name: str, chunks: Iterable[bytes]) -> None:
        path = self._root / name
        if not path.exists():
            self._make_folder(path.parent)
            self._fill(path, chunks)
        # For a file that was there as well: whoever renamed it may not have come to this line yet.
        sync_folder(path.parent)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        return (self._root / name).read_bytes()

    def sweep(self) -> None:
        """Remove what writers that were killed have left half-written."""
        if not self._incoming.is_dir():
            return
        for left in self._incoming.iterdir():
            try:
                if time.time() - left.stat().st_mtime > _STALE_S:
                    left.unlink()
            except FileNotFoundError:
                continue

    def _fill(self, path: Path, chunks: Iterable[bytes]) -> None:
        temporary = self._incoming / f"{path.name}.{os.getpid()}.{threading.get_ident()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for chunk in chunks:
                    _write_all(file.fileno(), chunk)
                os.fdatasync(file.fileno())
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _make_folder(self, folder: Path) -> None:
        self._incoming.mkdir(parents=True, exist_ok=True)
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True)
            sync_folder(made.parent)


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, CHUNK_BYTES):
        yield chunk


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
