"""Brings a backup's files to this machine's disk."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pixvec.backups.checking import checked_chunks
from pixvec.backups.manifest import BackupFile
from pixvec.blobs.store import FileStore
from pixvec.disk import sync_folder


def fetch_files(
    blobs: FileStore, files: Sequence[BackupFile], folder: Path, go_on: Callable[[], None] = lambda: None
) -> None:
    """Write files into an empty folder, or into folders in it. When it returns, every byte is on the disk and what was
    backed up.

    Raises BackupDamaged, Unavailable, OSError. `go_on` is called before each piece; what it raises ends the work.
    """
    for file in files:
        target = folder / file.path
        # Not its parents: where the folder itself is gone meanwhile, nothing is wanted there any more.
        target.parent.mkdir(exist_ok=True)
        with target.open("xb") as out:
            for chunk in checked_chunks(blobs, file):
                go_on()
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    for each in {folder, *((folder / file.path).parent for file in files)}:
        sync_folder(each)
