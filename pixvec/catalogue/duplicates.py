"""Which pictures are the same, and what becomes of those that refer to another: rules free of any store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixvec.domain import ItemError
from pixvec.errors import DuplicateImage

# In how many bits the perceptual hashes of copies may differ. With four bands, two hashes of at most three other bits
# have one band in common, so that an index on each finds every one of them.
NEAR_BITS = 3
BANDS = 4
BAND_BITS = 16


@dataclass(frozen=True, slots=True)
class Looks:
    """What tells a picture: SHA-256 of its bytes, empty where they are not known, and the perceptual hash of what it
    shows, 64 bits, None where it has none."""

    image_id: str
    content_hash: str
    perceptual_hash: int | None = None

    def bits_apart(self, other: "Looks") -> int | None:
        """Return how far two pictures are from being the same: -1 for the same bytes, else in how many bits their
        hashes differ; None where that is too many."""
        if self.content_hash and self.content_hash == other.content_hash:
            return -1
        if self.perceptual_hash is None or other.perceptual_hash is None:
            return None
        bits = (self.perceptual_hash ^ other.perceptual_hash).bit_count()
        return bits if bits <= NEAR_BITS else None


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """What is known of the picture of an image: SHA-256 of its bytes, its perceptual hash, and its size in pixels,
    upright. `duplicate_of`: the original of one that is linked."""

    image_id: str
    content_hash: str
    perceptual_hash: int | None
    width: int
    height: int
    duplicate_of: str = ""


def pair(arriving: Sequence[Looks], originals: Mapping[str, str]) -> dict[str, str]:
    """Return the duplicates among pictures that arrive together, each with its original: one that was there, or the
    first of them that is a duplicate of none."""
    pairs: dict[str, str] = {}
    kept: list[Looks] = []
    for looks in arriving:
        original = originals.get(looks.image_id)
        if original is None:
            original = next((each.image_id for each in kept if looks.bits_apart(each) is not None), None)
        if original is None:
            kept.append(looks)
        else:
            pairs[looks.image_id] = original
    return pairs


def duplicate_error(image_id: str, original: str) -> ItemError:
    """Return why a picture was rejected."""
    return ItemError(
        DuplicateImage.reason,
        f"image {image_id!r} is a duplicate of {original!r}: use that one, or on_duplicate 'keep' or 'link'",
    )
