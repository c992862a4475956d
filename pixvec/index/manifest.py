"""What a snapshot holds: written last, so that a snapshot without one is none."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixvec.domain import IndexKind, IndexSettings, Metric, VectorStorage
from pixvec.index.durable import Damaged, FileSeal, publish
from pixvec.index.interfaces import SpaceSpec
from pixvec.index.sealed import SegmentSeal

MANIFEST = "manifest.json"
FORMAT = 3
_DIGEST_CHARS = 64


@dataclass(frozen=True, slots=True)
class ShardIdentity:
    """Which shard, and of which life of its feed; a snapshot of another one is none of ours."""

    collection_id: int
    shard: int
    epoch: str
    spaces: tuple[SpaceSpec, ...]


@dataclass(frozen=True, slots=True)
class SealedPart:
    """A sealed segment, whose folder lies beside the snapshot's, and which of its rows are dead: `dead` holds a bit a
    row, none for none."""

    segment: SegmentSeal
    dead: FileSeal | None


@dataclass(frozen=True, slots=True)
class Part:
    """Some growing rows of one space: `vectors` holds them as little-endian float32, `ids` a JSON list of their
    images."""

    space: str
    rows: int
    vectors: FileSeal
    ids: FileSeal


@dataclass(frozen=True, slots=True)
class Manifest:
    """A snapshot's content and its place in the feed."""

    identity: ShardIdentity
    seq: int
    image_count: int
    parts: tuple[Part, ...]
    sealed: tuple[SealedPart, ...] = ()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Complete the snapshot in this folder. The manifest's own hash is its first line."""
    body = json.dumps({"format": FORMAT} | dataclasses.asdict(manifest), sort_keys=True).encode()
    publish(folder, MANIFEST, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a complete snapshot. Raises Damaged."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise Damaged("missing", f"{MANIFEST} cannot be read: {error}") from error
    digest, body = content[:_DIGEST_CHARS], content[_DIGEST_CHARS + 1 :]
    if content[_DIGEST_CHARS : _DIGEST_CHARS + 1] != b"\n" or hashlib.sha256(body).hexdigest().encode() != digest:
        raise Damaged("manifest", f"{MANIFEST} is not what was written")
    try:
        fields = json.loads(body)
        if fields["format"] != FORMAT:
            raise Damaged("format", f"the snapshot is of format {fields['format']}, this program reads {FORMAT}")
        return _from_json(fields)
    except (KeyError, TypeError, ValueError) as error:
        # As it was written, by a program that knows more or less than this one.
        raise Damaged("format", f"{MANIFEST} says what this program does not know: {error!r}") from error


def settings_from_json(fields: dict[str, Any]) -> IndexSettings:
    """Return the settings whose fields these are. Raises KeyError, TypeError, ValueError for others."""
    return IndexSettings(**fields | {"kind": IndexKind(fields["kind"]), "storage": VectorStorage(fields["storage"])})


def _from_json(fields: dict[str, Any]) -> Manifest:
    identity = ShardIdentity(**fields["identity"] | {"spaces": tuple(map(_space, fields["identity"]["spaces"]))})
    parts = tuple(
        Part(part["space"], part["rows"], FileSeal(**part["vectors"]), FileSeal(**part["ids"]))
        for part in fields["parts"]
    )
    sealed = tuple(
        SealedPart(_segment(part["segment"]), FileSeal(**part["dead"]) if part["dead"] else None)
        for part in fields["sealed"]
    )
    return Manifest(identity, fields["seq"], fields["image_count"], parts, sealed)


def _space(fields: dict[str, Any]) -> SpaceSpec:
    # What holds for segments to come is the collection's to say.
    kept = {name: value for name, value in fields.items() if name != "index"}
    return SpaceSpec(**kept | {"metric": Metric(fields["metric"])})


def _segment(fields: dict[str, Any]) -> SegmentSeal:
    files = tuple(FileSeal(**file) for file in fields["files"])
    settings = settings_from_json(fields["settings"])
    return SegmentSeal(**fields | {"kind": IndexKind(fields["kind"]), "files": files, "settings": settings})
