"""Stores a shard's files, those that no earlier backup holds, and reads back all of them."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixvec.backups.checking import check_file
from pixvec.backups.manifest import (
    BackupFile,
    BackupManifest,
    file_name,
    manifest_name,
    pack_manifest,
    read_manifest,
)
from pixvec.blobs.store import BlobStore, FileStore
from pixvec.domain import BaseSnapshot
from pixvec.errors import BackupDamaged
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A file of a shard on this machine's disk, and what it was when it was written. `path`: below the shard's
    folder; `source`: where it can be read now."""

    path: str
    source: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class NewBackup:
    """A backup to be stored: everything about it but its files."""

    base_id: str
    collection_id: int
    shard: int
    epoch: str
    seq: int
    image_count: int


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A backup of which every byte was read back. `stored_bytes`: what had to be sent."""

    manifest: str
    manifest_sha256: str
    size_bytes: int
    stored_bytes: int


def known_files(blobs: BlobStore, bases: Iterable[BaseSnapshot]) -> list[BackupFile]:
    """Return the files of earlier backups. One whose manifest is damaged is passed over. Raises Unavailable."""
    found: list[BackupFile] = []
    for base in bases:
        try:
            found += read_manifest(blobs, base).files
        except BackupDamaged as damage:
            log.warning("backup_damaged", base=base.base_id, why=damage.message)
    return found


def store_backup(
    blobs: FileStore,
    new: NewBackup,
    files: Sequence[ShardFile],
    known: Iterable[BackupFile] = (),
    go_on: Callable[[], None] = lambda: None,
) -> StoredBackup:
    """Store a backup and read all of it back, the files that were there already too. Raises Unavailable, OSError, and
    BackupDamaged when what was read is not what the shard wrote: on its own disk, or on the way.

    `go_on` is called before each file and while it is read; what it raises ends the work.
    """
    held = {(file.sha256, file.size_bytes): file.name for file in known}
    listed, stored_bytes = [], 0
    for file in files:
        go_on()
        key = (file.sha256, file.size_bytes)
        there = BackupFile(file.path, file.size_bytes, file.sha256, held.get(key, ""))
        if not (there.name and _is_sound(blobs, there, go_on)):
            name = file_name(new.collection_id, new.shard, new.base_id, file.sha256)
            there = BackupFile(file.path, file.size_bytes, file.sha256, name)
            blobs.put_file(name, file.source)
            check_file(blobs, there, go_on)
            stored_bytes += file.size_bytes
        held[key] = there.name
        listed.append(there)
    manifest = BackupManifest(
        new.base_id, new.collection_id, new.shard, new.epoch, new.seq, new.image_count, tuple(listed)
    )
    name, digest = _store_manifest(blobs, manifest)
    return StoredBackup(name, digest, manifest.size_bytes, stored_bytes)


def _is_sound(blobs: FileStore, file: BackupFile, go_on: Callable[[], None]) -> bool:
    try:
        check_file(blobs, file, go_on)
    except BackupDamaged as damage:
        log.error("backup_file_damaged", file=file.name, why=damage.message, note="it is stored anew")
        return False
    return True


def _store_manifest(blobs: BlobStore, manifest: BackupManifest) -> tuple[str, str]:
    name, content = manifest_name(manifest.collection_id, manifest.shard, manifest.base_id), pack_manifest(manifest)
    blobs.put_named(name, content)
    if blobs.get_named(name) != content:
        raise BackupDamaged(f"{name} did not come back as it was written")
    return name, hashlib.sha256(content).hexdigest()
