"""Reads a backup through: only what was read back and found right counts."""

import hashlib
from collections.abc import Callable, Iterator

from pixvec.backups.manifest import BackupFile, BackupManifest, read_manifest
from pixvec.blobs.store import FileStore
from pixvec.domain import BaseSnapshot
from pixvec.errors import BackupDamaged, ContentNotFound


def check_backup(blobs: FileStore, base: BaseSnapshot, go_on: Callable[[], None] = lambda: None) -> BackupManifest:
    """Return the manifest of a base whose every byte is what was written. Raises BackupDamaged, Unavailable.

    `go_on` is called before each piece of a file; what it raises ends the check.
    """
    manifest = read_manifest(blobs, base)
    for file in manifest.files:
        check_file(blobs, file, go_on)
    return manifest


def check_file(blobs: FileStore, file: BackupFile, go_on: Callable[[], None] = lambda: None) -> None:
    """Read a file through. Raises BackupDamaged, Unavailable. `go_on`: as above."""
    go_on()
    for _ in checked_chunks(blobs, file):
        go_on()


def checked_chunks(blobs: FileStore, file: BackupFile) -> Iterator[bytes]:
    """Yield a file piece by piece. Raises BackupDamaged, in the end, when they were not what was written."""
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in blobs.chunks(file.name):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
    except ContentNotFound as error:
        raise BackupDamaged(f"{file.name} ({file.path}) is missing in the blob store") from error
    if size != file.size_bytes:
        raise BackupDamaged(f"{file.name} ({file.path}) has {size} bytes in the blob store, not {file.size_bytes}")
    if digest.hexdigest() != file.sha256:
        raise BackupDamaged(f"{file.name} ({file.path}) is not what was written")
