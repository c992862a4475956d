"""Writing files so that they are whole or not there, and reading them so that a changed byte is noticed."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pixvec.disk import sync_folder


class Damaged(Exception):
    """A file is not what was written. `cause` is one word for a metric."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class FileSeal:
    """What a file has to be: its name, its size and the SHA-256 of its bytes in hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


def write_sealed(folder: Path, name: str, content: bytes | memoryview) -> FileSeal:
    """Write a new file, wait for the disk, and return its seal."""
    path = folder / name
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return FileSeal(name, len(content), hashlib.sha256(content).hexdigest())


def seal_file(path: Path) -> FileSeal:
    """Wait until a file that a library wrote is on the disk, and return its seal."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
        return FileSeal(path.name, os.fstat(file.fileno()).st_size, digest.hexdigest())


def check_sealed(folder: Path, seal: FileSeal) -> Path:
    """Return the path of a file that is exactly what was written, read once through and not kept. Raises Damaged."""
    path = folder / seal.name
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != seal.size_bytes:
                raise Damaged("size", f"{seal.name} has {size} bytes, not {seal.size_bytes}")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Damaged("missing", f"{seal.name} cannot be read: {error}") from error
    if digest != seal.sha256:
        raise Damaged("hash", f"{seal.name} is not what was written")
    return path


def read_sealed(folder: Path, seal: FileSeal) -> bytes:
    """Return the bytes of a file that is exactly what was written. Raises Damaged."""
    try:
        content = (folder / seal.name).read_bytes()
    except OSError as error:
        raise Damaged("missing", f"{seal.name} cannot be read: {error}") from error
    if len(content) != seal.size_bytes:
        raise Damaged("size", f"{seal.name} has {len(content)} bytes, not {seal.size_bytes}")
    if hashlib.sha256(content).hexdigest() != seal.sha256:
        raise Damaged("hash", f"{seal.name} is not what was written")
    return content


def publish(folder: Path, name: str, content: bytes) -> None:
    """Make a file appear under this name with all of its bytes on the disk: what was written before it is there too."""
    sync_folder(folder)
    unfinished = folder / f"{name}.tmp"
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / name)
    sync_folder(folder)
