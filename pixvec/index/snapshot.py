"""A shard on disk, beside the feed: restarting from it is faster, and never answers otherwise than the feed would.

    FOLDER/segment-RANDOM/          the files of one sealed segment, which never change; snapshots name them
    FOLDER/snapshot-SEQ-NUMBER/     one snapshot; without a manifest it was never finished
        vectors-N.f32, ids-N.json   the growing rows, in the order of the manifest's parts
        dead-N.bits                 which rows of a sealed segment are dead
        manifest.json               seq, epoch, spaces, the size and hash of every file, segments' too; written last

Order of writing: files, fsync of each, fsync of the folder, manifest under another name, fsync, rename, fsync of the
folder and of the two above, then the older snapshots but one are deleted, manifest first, then the segments that no
snapshot and no shard holds. Whatever instant a crash picks, the next start sees the old snapshots, the new one, or
both.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pixvec.disk import sync_folder
from pixvec.index.dead_rows import BoolArray
from pixvec.index.durable import Damaged, read_sealed, write_sealed
from pixvec.index.interfaces import Float32Array
from pixvec.index.manifest import (
    MANIFEST,
    Manifest,
    Part,
    SealedPart,
    ShardIdentity,
    read_manifest,
    write_manifest,
)
from pixvec.index.sealed import open_sealed
from pixvec.index.segment import FlatSegment
from pixvec.index.shard import Shard, ShardView
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import SNAPSHOTS_REFUSED

log = get_logger(__name__)

_PREFIX = "snapshot-"
SEGMENT_PREFIX = "segment-"
# Snapshots on their way from and to elsewhere: see `portable`.
INCOMING, OUTGOING = "incoming-", "outgoing-"
_KEPT = 2


def write_snapshot(folder: Path, view: ShardView, identity: ShardIdentity) -> Path:
    """Write what `view` shows and return the snapshot's own folder. The shard may go on changing meanwhile.

    Raises OSError, a full disk for one, leaving the snapshots that were there.
    """
    created = new_folder(folder, view.applied_seq)
    created.mkdir(parents=True)
    try:
        parts, sealed = tuple(_write_parts(created, view)), tuple(_write_dead(created, view))
        write_manifest(created, Manifest(identity, view.applied_seq, view.image_count, parts, sealed))
    except OSError:
        shutil.rmtree(created, ignore_errors=True)
        raise
    sync_folder(folder)
    # The shard's own folder may be new.
    sync_folder(folder.parent)
    _delete_old(folder, created)
    return created


def new_folder(folder: Path, seq: int) -> Path:
    """Return where the next snapshot of this shard goes."""
    number = 1 + max(map(_number, folder.glob(f"{_PREFIX}*")), default=0)
    return folder / f"{_PREFIX}{seq:020d}-{number:08d}"


def load_newest(folder: Path, identity: ShardIdentity, *, min_seq: int = 0, max_seq: int | None = None) -> Shard | None:
    """Return the shard as of the newest snapshot of this identity, or None to start from the feed.

    One that is damaged is refused, counted, and the older one is tried. One below `min_seq` has missed deletions, one
    above `max_seq` holds what the feed has lost.
    """
    for path in sorted(_complete(folder), reverse=True):
        try:
            return _load(path, identity, min_seq, max_seq)
        except Damaged as damage:
            SNAPSHOTS_REFUSED.labels(damage.cause).inc()
            log.warning("snapshot_refused", path=str(path), cause=damage.cause, why=str(damage))
    return None


def remove_segments(folder: Path, in_use: Callable[[], set[str]]) -> None:
    """Remove the segments that no snapshot names and that are not in use; none while a snapshot cannot be read."""
    try:
        named = {part.segment.name for path in _complete(folder) for part in _read_sealed_parts(path)}
    except OSError as error:
        log.warning("segments_kept", path=str(folder), why=str(error))
        return
    present = {path.name for path in folder.glob(f"{SEGMENT_PREFIX}*")}
    # Asked last: what is in use by then was either there before or is new, and then not among those found.
    for name in present - named - in_use():
        log.info("segment_removed", segment=name)
        shutil.rmtree(folder / name, ignore_errors=True)


def clean(folder: Path) -> None:
    """Remove what a crash left unfinished, or on its way to or from elsewhere."""
    unfinished = [path for path in folder.glob(f"{_PREFIX}*") if not (path / MANIFEST).exists()]
    for path in (*unfinished, *folder.glob(f"{INCOMING}*"), *folder.glob(f"{OUTGOING}*")):
        log.info("unfinished_snapshot_removed", path=str(path))
        shutil.rmtree(path, ignore_errors=True)


def _write_parts(folder: Path, view: ShardView) -> Iterator[Part]:
    segments = [(name, segment) for name, space in view.spaces.items() for segment in space.growing.segments]
    for number, (space, segment) in enumerate(segments):
        rows = segment.live_rows()
        if len(rows):
            yield _write_part(folder, number, space, segment, rows)


def _write_dead(folder: Path, view: ShardView) -> Iterator[SealedPart]:
    sealed = [held for space in view.spaces.values() for held in space.sealed]
    for number, held in enumerate(sealed):
        bits = None if held.dead is None else np.packbits(held.dead).data.cast("B")
        yield SealedPart(held.segment.seal, None if bits is None else write_sealed(folder, f"dead-{number}.bits", bits))


def _read_sealed_parts(path: Path) -> tuple[SealedPart, ...]:
    """Raises OSError for a snapshot that cannot be read now, and may be whole."""
    try:
        return read_manifest(path).sealed
    except Damaged as damage:
        if isinstance(damage.__cause__, OSError):
            raise damage.__cause__ from damage
        # Refused by every start: what it names is of no use through it.
        return ()


def _write_part(folder: Path, number: int, space: str, segment: FlatSegment, rows: np.ndarray) -> Part:
    vectors = np.ascontiguousarray(segment.take(rows), dtype="<f4")
    ids = json.dumps(segment.ids(rows)).encode()
    return Part(
        space,
        len(rows),
        write_sealed(folder, f"vectors-{number}.f32", vectors.data.cast("B")),
        write_sealed(folder, f"ids-{number}.json", ids),
    )


def _complete(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{_PREFIX}*") if (path / MANIFEST).exists()]


def _delete_old(folder: Path, newest: Path) -> None:
    """Keep `newest` and the one before it, by the order of writing: a snapshot may be of a lower seq in a new epoch."""
    others = sorted((path for path in _complete(folder) if path != newest), key=_number, reverse=True)
    for path in others[_KEPT - 1 :]:
        # Without its manifest a half-deleted snapshot is an unfinished one.
        (path / MANIFEST).unlink()
        sync_folder(path)
        shutil.rmtree(path, ignore_errors=True)


def _number(path: Path) -> int:
    """Return the number of a snapshot in the order of writing: several may be of one seq."""
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _load(path: Path, identity: ShardIdentity, min_seq: int, max_seq: int | None) -> Shard:
    manifest = read_manifest(path)
    if manifest.identity != identity:
        raise Damaged("identity", "it is of another shard, epoch, or set of spaces")
    if manifest.seq < min_seq:
        raise Damaged("old", f"it is of seq {manifest.seq}, and deletions below {min_seq} are gone from the feed")
    if max_seq is not None and manifest.seq > max_seq:
        raise Damaged("ahead", f"it is of seq {manifest.seq}, and the feed ends at {max_seq}")
    shard = Shard(identity.spaces)
    by_name = {space.name: space for space in identity.spaces}
    for sealed in manifest.sealed:
        segment = open_sealed(path.parent / sealed.segment.name, sealed.segment, by_name[sealed.segment.space])
        shard.adopt(segment, _read_dead(path, sealed))
    for part in manifest.parts:
        shard.restore(part.space, *_read_part(path, part, shard))
    shard.finish_restore(manifest.seq, manifest.image_count)
    return shard


def _read_dead(path: Path, part: SealedPart) -> BoolArray | None:
    if part.dead is None:
        return None
    bits = np.frombuffer(read_sealed(path, part.dead), np.uint8)
    return np.unpackbits(bits, count=part.segment.rows).view(np.bool_)


def _read_part(path: Path, part: Part, shard: Shard) -> tuple[list[str], Float32Array]:
    dim = next(space.dim for space in shard.spaces if space.name == part.space)
    content = read_sealed(path, part.vectors)
    # One string an image, shared by its rows of all spaces.
    image_ids = [sys.intern(image_id) for image_id in json.loads(read_sealed(path, part.ids))]
    return image_ids, np.frombuffer(content, "<f4").reshape(part.rows, dim)
