"""Images as the catalogue knows them, and what is asked of one that is taken in."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias

AttributeValue: TypeAlias = "bool | int | float | str | Sequence[AttributeValue]"
Attributes: TypeAlias = Mapping[str, AttributeValue]

# By which pictures are told from other files when a folder or a prefix is listed.
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif")
)


class IngestStage(IntEnum):
    """How far an item has come; the order is the order of the work."""

    QUEUED = 1
    DECODED = 2
    EMBEDDED = 3
    INDEXED = 4


class OnExisting(StrEnum):
    """What to do with an id that the collection already holds."""

    REPLACE = "replace"
    SKIP = "skip"
    FAIL = "fail"


class OnDuplicate(StrEnum):
    """What to do with a picture that the collection holds under another id."""

    KEEP = "keep"
    LINK = "link"
    REJECT = "reject"


class ImageState(StrEnum):
    """Whether any version of an image can be found; one that is linked is found by its original."""

    PENDING = "pending"
    INDEXED = "indexed"
    FAILED = "failed"
    LINKED = "linked"


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item failed: `reason` is that of an error class, `message` names the item and the remedy."""

    reason: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """What the catalogue knows of one image. `width` and `height`: pixels of the upright picture, 0 until decoded.
    `duplicate_of`: the original of one that is linked."""

    image_id: str
    state: ImageState
    content_hash: str
    size_bytes: int
    format: str
    width: int
    height: int
    attributes: Attributes
    created_at: dt.datetime
    updated_at: dt.datetime
    error: ItemError | None = None
    duplicate_of: str = ""
