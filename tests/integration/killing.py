"""Does a shard's work on the disk over and over, each time killed a system call later: at every write, fsync, rename or
what else changes a folder.

A program, so that it forks before any thread runs: `python -m tests.integration.killing WORK FOLDER`. FOLDER/0000,
FOLDER/0001 … are left as the killed processes left them; in the last one the work was done. Ends with NOT_TRACED where
the system lets no process be traced.
"""

import ctypes
import datetime as dt
import hashlib
import os
import platform
import shutil
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pixvec.backups.fetching import fetch_files
from pixvec.backups.manifest import read_manifest
from pixvec.backups.storing import NewBackup, ShardFile, known_files, store_backup
from pixvec.blobs.store import FsspecBlobStore
from pixvec.domain import BaseSnapshot, IndexKind, IndexSettings, Metric
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.manifest import ShardIdentity
from pixvec.index.plan import BuildPolicy
from pixvec.index.portable import link_snapshot, make_incoming, take_in
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from pixvec.index.snapshot import remove_segments, write_snapshot
from tests.unit.index.segments import build, clustered

NOT_TRACED = 77

SPACES = (
    SpaceSpec("image", 8, Metric.COSINE, "ab" * 32, IndexSettings(IndexKind.HNSW)),
    SpaceSpec("shape", 3, Metric.EUCLIDEAN, "cd" * 32, IndexSettings(IndexKind.FLAT)),
)
IDENTITY = ShardIdentity(7, 2, "epoch-1", SPACES)
# That shard, where it goes on from its backup in another life of its feed.
THERE = replace(IDENTITY, epoch="epoch-2")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
POLICY = BuildPolicy(seal_rows=1, max_segment_rows=80)

# write, pwrite64, writev, openat, fsync, fdatasync, ftruncate, the renames, mkdirs and unlinks, link; open and rmdir.
_WATCHED = {
    "x86_64": {1, 18, 20, 257, 74, 75, 77, 82, 264, 316, 83, 258, 87, 263, 86, 265, 2, 84},
    "aarch64": {64, 68, 66, 56, 82, 83, 46, 38, 276, 34, 35, 37},
}
_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_TRACE_SYSTEM_CALLS, _EXIT_KILL = 1, 0x100000
_STOPPED_AT_CALL = signal.SIGTRAP | 0x80
_ENTRY = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def changes(begin: int, end: int) -> list[Change]:
    """Pictures that come, come again and go."""
    rows, shapes = clustered(200, 8), clustered(200, 3, seed=4)
    return [
        Change(f"bild-{at % 140}", None if at % 17 == 0 else {"image": rows[at : at + 1], "shape": shapes[at : at + 1]})
        for at in range(begin, end)
    ]


def before(folder: Path) -> Shard:
    """Return a shard of which two snapshots are there already, with some more in memory."""
    shard = Shard(SPACES)
    for begin, end in ((0, 60), (60, 120)):
        shard.apply(changes(begin, end), end)
        for _ in SPACES:
            build(shard, folder, POLICY)
        shard.apply(changes(end, end + 20), end + 20)
        _snapshot(shard, folder)
    shard.apply(changes(140, 200), 200)
    return shard


def _snapshot(shard: Shard, folder: Path) -> None:
    write_snapshot(folder, shard.view, IDENTITY)
    remove_segments(folder, lambda: shard.segment_names)


def _compact(shard: Shard, folder: Path) -> None:
    """What a searcher does in the background: a build, which replaces segments, then a snapshot."""
    begun = shard.begin_build(BuildPolicy(seal_rows=1))
    assert begun is not None
    shard.finish_build(begun, seal(folder, begun, index_in_this_process))
    _snapshot(shard, folder)


def blobs_of(folder: Path) -> FsspecBlobStore:
    """Return the blob store that this folder's shard is backed up in."""
    return FsspecBlobStore(f"file://{folder}/blobs")


def backups_of(folder: Path) -> list[BaseSnapshot]:
    """Return a catalogue's rows of all that was stored to the end, the oldest first."""
    identity = (IDENTITY.collection_id, IDENTITY.shard, IDENTITY.epoch, IDENTITY.epoch)
    return [
        BaseSnapshot(path.stem, *identity, 200, NOW, str(path.relative_to(folder / "blobs")), sha256_of(path))
        for path in sorted((folder / "blobs").glob("backups/*/*/manifests/*.json"))
    ]


def store(folder: Path, base_id: str) -> None:
    """Back up the newest snapshot in a folder."""
    going, blobs = link_snapshot(max(folder.glob("snapshot-*"))), blobs_of(folder)
    files = [
        ShardFile(each.path, going.folder / each.path, each.seal.size_bytes, each.seal.sha256) for each in going.files
    ]
    new = NewBackup(
        base_id, IDENTITY.collection_id, IDENTITY.shard, IDENTITY.epoch, going.manifest.seq, going.manifest.image_count
    )
    store_backup(blobs, new, files, known_files(blobs, backups_of(folder)))
    shutil.rmtree(going.folder)


def fetch(folder: Path) -> None:
    """Begin a shard in another folder with what was backed up."""
    incoming = make_incoming(folder / "there")
    fetch_files(blobs_of(folder), read_manifest(blobs_of(folder), backups_of(folder)[0]).files, incoming)
    take_in(incoming, THERE, IDENTITY.epoch)
    shutil.rmtree(incoming)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


WORKS = {
    "snapshot": _snapshot,
    "compact": _compact,
    "store": lambda _, folder: store(folder, "base-1"),
    "fetch": lambda _, folder: fetch(folder),
}


def _trace(request: int, pid: int, address: object = None, data: object = None) -> int:
    return int(_libc.ptrace(request, pid, address, data))


def _is_done(work: Callable[[], None], at: int) -> bool:
    """Do the work in a process that is killed as it enters its call number `at`; return whether it had ended before."""
    pid = os.fork()
    if not pid:
        _work(work)
    os.waitpid(pid, 0)
    if _trace(_SETOPTIONS, pid, None, _TRACE_SYSTEM_CALLS | _EXIT_KILL) < 0:
        os.kill(pid, signal.SIGKILL)
        sys.exit(NOT_TRACED)
    while True:
        _trace(_SYSCALL, pid)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        at -= os.WSTOPSIG(status) == _STOPPED_AT_CALL and _entered(pid) in _WATCHED[platform.machine()]
        if at < 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False


def _work(work: Callable[[], None]) -> None:
    """Never return: this is the process to be killed."""
    try:
        if _trace(_TRACEME, 0) < 0:
            os._exit(NOT_TRACED)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing may come back to the program that was forked
        traceback.print_exc()
        os._exit(1)


def _entered(pid: int) -> int:
    """Return the number of the system call that the process is about to enter, -1 when it comes back from one."""
    info = ctypes.create_string_buffer(128)
    _trace(_GET_SYSCALL_INFO, pid, len(info), info)
    what, number = struct.unpack_from("=B23xQ", info.raw)
    return int(number) if what == _ENTRY else -1


def main() -> None:
    """Do the work once for each of its system calls, and once in full."""
    if platform.machine() not in _WATCHED:
        sys.exit(NOT_TRACED)
    work, folder = WORKS[sys.argv[1]], Path(sys.argv[2])
    shard, at = before(folder / "before"), 0
    if sys.argv[1] in ("store", "fetch"):
        store(folder / "before", "base-0")
        write_snapshot(folder / "before", shard.view, IDENTITY)
    while True:
        copy = folder / f"{at:04}"
        shutil.copytree(folder / "before", copy)
        if _is_done(lambda copy=copy: work(shard, copy), at):
            return
        at += 1


if __name__ == "__main__":
    main()
