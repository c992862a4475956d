"""The searcher's own disk: one folder a shard, beside a lock that keeps a second searcher out."""

import errno
import fcntl
import os
import re
import shutil
from pathlib import Path

from pixvec.domain import ShardKey
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

_SHARD_FOLDER = re.compile(r"(\d+)-(\d+)")


class DataFolder:
    """FOLDER/COLLECTION-SHARD/ holds the snapshots of a shard. All of it can be made again: from the
    feed, and where that has been truncated, from a base in the blob store and what the feed holds above it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None

    def claim(self) -> None:
        """Keep every other searcher out until this process ends. Raises OSError when one is there already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise OSError(
                errno.EBUSY,
                "another searcher uses this data folder; stop it, or set PIXVEC_SEARCHER_DATA to another folder",
                str(self._folder),
            ) from error
        self._lock = lock

    def release(self) -> None:
        """Let another searcher in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def of_shard(self, key: ShardKey) -> Path:
        """Return the folder of a shard, which may not exist yet."""
        return self._folder / f"{key[0]}-{key[1]}"

    def known(self) -> set[ShardKey]:
        """Return the shards that have a folder."""
        found = (_SHARD_FOLDER.fullmatch(path.name) for path in self._folder.iterdir())
        return {(int(match[1]), int(match[2])) for match in found if match}

    def remove(self, key: ShardKey) -> None:
        """Delete a shard's folder, if there is one."""
        folder = self.of_shard(key)
        if folder.exists():
            log.info("shard_folder_removed", folder=str(folder))
            shutil.rmtree(folder, ignore_errors=True)
