"""What becomes of new items when they meet what is stored: the rules of OnExisting, free of any store."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from pixvec.catalogue.duplicates import duplicate_error
from pixvec.catalogue.interfaces import NewItem
from pixvec.domain import Attributes, ItemError, OnDuplicate, OnExisting
from pixvec.errors import CollectionNotFound, FailedPrecondition, ImageExists, InvalidRequest, PixvecError

MAX_IMAGE_ID_BYTES = 512
# Versions of one image on their way at once that are remembered; of more, the oldest counts as overtaken.
MAX_PENDING = 256


class Verdict(Enum):
    """What is to be done with a new item."""

    WORK = auto()
    UNCHANGED = auto()
    SUPERSEDED = auto()
    LINKED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as it stands when items for it arrive: `live` when a version can be found, `pending` when one is on its
    way, `duplicate_of` when it is linked to an original."""

    live: bool
    pending: bool
    content_hash: str
    attributes: Attributes
    duplicate_of: str = ""

    @property
    def exists(self) -> bool:
        """Whether the id is taken: a version can be found, by itself or by its original, or one is on its way."""
        return self.live or self.pending or self.duplicate_of != ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A new item with its verdict, with the error for FAILED, and the original for a duplicate that is linked."""

    item: NewItem
    verdict: Verdict
    error: ItemError | None = None
    duplicate_of: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a job does with ids, and with pictures, that are there already."""

    on_existing: OnExisting
    on_duplicate: OnDuplicate = OnDuplicate.KEEP


def screen(items: Iterable[NewItem]) -> tuple[list[NewItem], list[Decision]]:
    """Part the items that can be stored from those that cannot; of the same ordinal twice, the first one counts."""
    sound: list[NewItem] = []
    refused: list[Decision] = []
    for item in {item.ordinal: item for item in reversed(list(items))}.values():
        fault = _fault(item)
        if fault is None:
            sound.append(item)
        else:
            name, uri = _storable(item.image_id), _storable(item.uri)
            harmless = replace(item, image_id=name, uri=uri, attributes={}, content_hash="")
            refused.append(Decision(harmless, Verdict.FAILED, fault))
    return sorted(sound, key=_by_ordinal), refused


def candidates(items: Sequence[NewItem], on_existing: OnExisting) -> dict[str, NewItem]:
    """Return the one item that counts for each image id: the last one for REPLACE, else the first."""
    ordered = items if on_existing is OnExisting.REPLACE else reversed(items)
    return {item.image_id: item for item in ordered}


def decide(
    items: Sequence[NewItem],
    stored: Mapping[str, StoredImage],
    policy: Policy,
    originals: Mapping[str, str] | None = None,
) -> list[Decision]:
    """Decide on sound items, in order of ordinals, against the images that were there before them. `originals`: of
    which other image an item has the bytes, by the item's image id; none where the job keeps duplicates."""
    chosen = candidates(items, policy.on_existing)
    known = originals or {}
    return [
        _decide_one(item, chosen[item.image_id], stored.get(item.image_id), policy, known.get(item.image_id, ""))
        for item in items
    ]


def _decide_one(item: NewItem, chosen: NewItem, image: StoredImage | None, policy: Policy, original: str) -> Decision:
    repeated = item is not chosen
    taken = repeated or (image is not None and image.exists)
    if policy.on_existing is OnExisting.FAIL and taken:
        return Decision(item, Verdict.FAILED, _exists(item))
    if policy.on_existing is OnExisting.SKIP and taken:
        return Decision(item, Verdict.UNCHANGED, duplicate_of="" if repeated or image is None else image.duplicate_of)
    if repeated:
        return Decision(item, Verdict.SUPERSEDED)
    if image is not None and _is_there_as_given(item, image, policy.on_duplicate):
        return Decision(item, Verdict.UNCHANGED, duplicate_of=image.duplicate_of)
    return _meet_original(item, image, policy, original) if original else Decision(item, Verdict.WORK)


def _meet_original(item: NewItem, image: StoredImage | None, policy: Policy, original: str) -> Decision:
    if policy.on_duplicate is OnDuplicate.REJECT:
        return Decision(item, Verdict.FAILED, duplicate_error(item.image_id, original))
    # What can be found now, or is on its way, has to be taken back from the searchers first.
    free = image is None or not (image.live or image.pending)
    return Decision(item, Verdict.LINKED, duplicate_of=original) if free else Decision(item, Verdict.WORK)


def _is_there_as_given(item: NewItem, image: StoredImage, on_duplicate: OnDuplicate) -> bool:
    found = image.live or (image.duplicate_of != "" and on_duplicate is OnDuplicate.LINK)
    return (
        found
        and not image.pending
        and item.content_hash != ""
        and item.content_hash == image.content_hash
        and same_attributes(item.attributes, image.attributes)
    )


def same_attributes(one: Attributes, other: Attributes) -> bool:
    """Whether attributes are equal with their types: 1, 1.0 and true differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _exists(item: NewItem) -> ItemError:
    return ItemError(
        ImageExists.reason,
        f"image {item.image_id!r} is in the collection already: choose another id, or on_existing 'replace' or 'skip'",
    )


def _fault(item: NewItem) -> ItemError | None:
    name = f"image {_storable(item.image_id)!r}"
    if not item.image_id or not _is_storable(item.image_id):
        return ItemError(InvalidRequest.reason, f"{name}: an id is not empty and holds UTF-8 text without NUL")
    if len(item.image_id.encode()) > MAX_IMAGE_ID_BYTES:
        return ItemError(InvalidRequest.reason, f"{name}: an id has at most {MAX_IMAGE_ID_BYTES} bytes; shorten it")
    if not _is_storable(item.uri):
        return ItemError(InvalidRequest.reason, f"{name}: its URI has to be UTF-8 text without NUL")
    if not _all_storable(item.attributes):
        return ItemError(
            InvalidRequest.reason, f"{name}: attributes hold UTF-8 text without NUL, and numbers that are finite"
        )
    return None


def _all_storable(value: object) -> bool:
    if isinstance(value, str):
        return _is_storable(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_is_storable(key) and _all_storable(inner) for key, inner in value.items())
    return all(map(_all_storable, value)) if isinstance(value, list | tuple) else True


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _storable(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[:MAX_IMAGE_ID_BYTES]


def _by_ordinal(item: NewItem) -> int:
    return item.ordinal


def closed_error(job_id: str, error: ItemError | None) -> PixvecError:
    """Return why a job that ended with this error takes no new items."""
    if error is not None and error.reason == CollectionNotFound.reason:
        return CollectionNotFound(
            f"{error.message} while pictures were taken in: create it again, and ingest them anew", field="collection"
        )
    return FailedPrecondition(f"job {job_id} is closed to new items: open a new job", field="job_id")
