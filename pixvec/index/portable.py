"""A snapshot with everything it needs in one folder, to be carried to another disk and taken in there.

    FOLDER/outgoing-RANDOM/, FOLDER/incoming-RANDOM/
        snapshot/       the files of one snapshot, its manifest too
        segment-X/      the files of each sealed segment that it names

Linked, not copied: what is going out costs no space, and stays whatever the shard deletes meanwhile. Neither is read by
a start: what a crash leaves of them is removed.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pixvec.disk import sync_folder
from pixvec.index.durable import Damaged, FileSeal
from pixvec.index.manifest import MANIFEST, Manifest, ShardIdentity, read_manifest, write_manifest
from pixvec.index.snapshot import INCOMING, OUTGOING, new_folder

_SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class PortableFile:
    """One file: its path below the portable folder, and what it has to be."""

    path: str
    seal: FileSeal


@dataclass(frozen=True, slots=True)
class Portable:
    """A snapshot in a folder of its own."""

    folder: Path
    manifest: Manifest
    files: tuple[PortableFile, ...]


def link_snapshot(snapshot: Path) -> Portable:
    """Put a complete snapshot and its segments together in a new folder beside it. Raises OSError, Damaged; nothing is
    left then."""
    folder = snapshot.parent / f"{OUTGOING}{secrets.token_hex(4)}"
    manifest = read_manifest(snapshot)
    try:
        return Portable(folder, manifest, tuple(_link(snapshot, folder, manifest)))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def make_incoming(folder: Path) -> Path:
    """Return a new folder for a snapshot to be brought into, beside a shard's own."""
    incoming = folder / f"{INCOMING}{secrets.token_hex(4)}"
    incoming.mkdir(parents=True)
    return incoming


def take_in(incoming: Path, identity: ShardIdentity, made_in: str) -> Path:
    """Make what was brought into a folder a snapshot of the shard beside it, and return it: written in the epoch
    `made_in`, and of this identity from now on. No shard may be using segments of the same names.

    Whatever instant a crash picks, the next start finds the snapshot, or segments that nobody names and it removes.
    Raises Damaged for a snapshot of another shard, epoch, set of spaces or format, and OSError.
    """
    brought = read_manifest(incoming / _SNAPSHOT)
    if brought.identity != replace(identity, epoch=made_in):
        raise Damaged("identity", "it is of another shard, epoch, or set of spaces")
    folder = incoming.parent
    for part in brought.sealed:
        shutil.rmtree(folder / part.segment.name, ignore_errors=True)
        (incoming / part.segment.name).rename(folder / part.segment.name)
    write_manifest(incoming / _SNAPSHOT, replace(brought, identity=identity))
    sync_folder(folder)
    taken = new_folder(folder, brought.seq)
    (incoming / _SNAPSHOT).rename(taken)
    sync_folder(folder)
    # The shard's own folder may be new.
    sync_folder(folder.parent)
    return taken


def _link(snapshot: Path, folder: Path, manifest: Manifest) -> Iterator[PortableFile]:
    for part in manifest.sealed:
        name = part.segment.name
        yield from (_link_file(snapshot.parent / name, folder, name, seal) for seal in part.segment.files)
    own = [part.dead for part in manifest.sealed if part.dead is not None]
    own += [seal for part in manifest.parts for seal in (part.vectors, part.ids)]
    for seal in (*own, _seal_of(snapshot / MANIFEST)):
        yield _link_file(snapshot, folder, _SNAPSHOT, seal)


def _link_file(source: Path, folder: Path, place: str, seal: FileSeal) -> PortableFile:
    (folder / place).mkdir(parents=True, exist_ok=True)
    os.link(source / seal.name, folder / place / seal.name)
    return PortableFile(f"{place}/{seal.name}", seal)


def _seal_of(path: Path) -> FileSeal:
    content = path.read_bytes()
    return FileSeal(path.name, len(content), hashlib.sha256(content).hexdigest())
