"""What a backup consists of: the file that lists all others.

    backups/COLLECTION/SHARD/files/SHA256-BASE      one file; backups share those that are the same
    backups/COLLECTION/SHARD/manifests/BASE.json    written last: what was there before it is no backup

A name carries the id of the backup that first stored the file, so that nothing is ever written under a name that
somebody may be about to remove. The catalogue holds the manifest's own hash.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from pixvec.blobs.store import BlobStore
from pixvec.domain import BaseSnapshot
from pixvec.errors import BackupDamaged, ContentNotFound

FORMAT = 1


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file: its path below the shard's folder, what it has to be, and its name in the blob store."""

    path: str
    size_bytes: int
    sha256: str
    name: str


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """A shard as it stood at `seq` of one life of its feed, file by file."""

    base_id: str
    collection_id: int
    shard: int
    epoch: str
    seq: int
    image_count: int
    files: tuple[BackupFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


def folder_of(collection_id: int, shard: int) -> str:
    """Return where everything of a shard is."""
    return f"backups/{collection_id}/{shard}"


def manifest_name(collection_id: int, shard: int, base_id: str) -> str:
    """Return the name of a manifest."""
    return f"{folder_of(collection_id, shard)}/manifests/{base_id}.json"


def file_name(collection_id: int, shard: int, base_id: str, sha256: str) -> str:
    """Return the name of a file that this backup is the first to store."""
    return f"{folder_of(collection_id, shard)}/files/{sha256}-{base_id}"


def pack_manifest(manifest: BackupManifest) -> bytes:
    """Return a manifest as it is stored."""
    return json.dumps({"format": FORMAT} | dataclasses.asdict(manifest), sort_keys=True, indent=1).encode()


def read_manifest(blobs: BlobStore, base: BaseSnapshot) -> BackupManifest:
    """Return the manifest of a finished base. Raises BackupDamaged, Unavailable."""
    try:
        content = blobs.get_named(base.manifest)
    except ContentNotFound as error:
        raise BackupDamaged(f"{base.manifest} is missing in the blob store") from error
    if hashlib.sha256(content).hexdigest() != base.manifest_sha256:
        raise BackupDamaged(f"{base.manifest} is not what was written")
    fields = json.loads(content)
    if fields.pop("format") != FORMAT:
        raise BackupDamaged(f"{base.manifest} is of another format than {FORMAT}, which this program reads")
    files = tuple(BackupFile(**each) for each in fields.pop("files"))
    for file in files:
        if PurePosixPath(file.path).is_absolute() or ".." in PurePosixPath(file.path).parts:
            raise BackupDamaged(f"{base.manifest} lists {file.path!r}, which is outside the shard's folder")
    return BackupManifest(**fields, files=files)
