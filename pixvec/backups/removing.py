"""Removes what only a retired backup refers to."""

from collections.abc import Iterable

from pixvec.backups.manifest import folder_of, manifest_name, read_manifest
from pixvec.blobs.store import FileStore
from pixvec.domain import BaseSnapshot
from pixvec.errors import BackupDamaged


def remove_backup(blobs: FileStore, base: BaseSnapshot, others: Iterable[BaseSnapshot]) -> int:
    """Remove the files of `base`, finished or not, that none of `others` needs; return how many. To be run again when
    it was interrupted: its manifest goes last.

    `others` are all the other backups of the shard. Raises Unavailable, and BackupDamaged when what one of them needs
    cannot be told: nothing is removed then.
    """
    needed = {file.name for other in others if other.manifest for file in read_manifest(blobs, other).files}
    removed = 0
    for name in sorted(_files_of(blobs, base) - needed):
        blobs.remove(name)
        removed += 1
    blobs.remove(manifest_name(base.collection_id, base.shard, base.base_id))
    return removed


def _files_of(blobs: FileStore, base: BaseSnapshot) -> set[str]:
    """Return what the base lists, and what it stored without coming to list it."""
    stored = blobs.names(f"{folder_of(base.collection_id, base.shard)}/files")
    own = {name for name in stored if name.endswith(f"-{base.base_id}")}
    if not base.manifest:
        return own
    try:
        return own | {file.name for file in read_manifest(blobs, base).files}
    except BackupDamaged:
        # Removed last time, or unreadable: what it shared with others is theirs.
        return own
