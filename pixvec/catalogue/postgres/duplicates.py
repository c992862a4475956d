"""Pictures that are known again, by their bytes or by what they show."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.duplicates import BAND_BITS, BANDS, NEAR_BITS, Looks, StoredPicture
from pixvec.catalogue.postgres.database import Overtaken

# A lock of this kind, on a collection, lets one commit after another look for duplicates: of two that bring the same
# picture the second finds what the first has written.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('pixvec.duplicates', :collection_id))"
_SIGN = 1 << 63
_SHIFTS = [BAND_BITS * band for band in reversed(range(BANDS))]


def _bits(one: str, other: str) -> str:
    return f"bit_count(CAST({one}.perceptual_hash # {other}.perceptual_hash AS bit(64)))"


def near(one: str, other: str) -> str:
    """Return the condition that two rows of `images` are of the same picture, as `Looks.bits_apart` has it."""
    same_bytes = f"({one}.content_hash <> '' AND {one}.content_hash = {other}.content_hash)"
    return f"({same_bytes} OR coalesce({_bits(one, other)} <= {NEAR_BITS}, FALSE))"


_BITS = _bits("m", "n")
_SAME_BYTES = """
SELECT m.image_id, m.created_at, -1 AS bits FROM images m
WHERE m.collection_id = :collection_id AND m.content_hash = n.content_hash AND m.content_hash <> '' AND {more}
"""
# One for each index: of what differs in few enough bits, one band at least is the same.
_SAME_BAND = f"""
SELECT m.image_id, m.created_at, {_BITS} AS bits FROM images m
WHERE m.collection_id = :collection_id AND m.perceptual_hash IS NOT NULL
    AND ((m.perceptual_hash >> {{shift}}) & 65535) = ((n.perceptual_hash >> {{shift}}) & 65535)
    AND {_BITS} <= {NEAR_BITS} AND {{more}}
"""


def _alike(more: str) -> str:
    """Return the query for the images that are like `n`, some of them twice."""
    return " UNION ALL ".join(
        [_SAME_BYTES.format(more=more), *(_SAME_BAND.format(shift=s, more=more) for s in _SHIFTS)]
    )


_ORIGINALS = f"""
SELECT n.image_id, o.image_id AS original
FROM unnest(CAST(:image_ids AS text[]), CAST(:hashes AS text[]), CAST(:looks AS bigint[]))
    AS n(image_id, content_hash, perceptual_hash)
CROSS JOIN LATERAL (
    SELECT a.image_id FROM ({
    _alike(
        "m.live_generation IS NOT NULL AND m.image_id <> n.image_id "
        "AND NOT m.pending && CAST(:passing_over AS bigint[])"
    )
}) a
    ORDER BY a.bits, a.created_at, a.image_id LIMIT 1
) o
"""
_HOLD = """
SELECT image_id, content_hash, perceptual_hash FROM images
WHERE collection_id = :collection_id AND image_id = ANY(:image_ids) AND live_generation IS NOT NULL
ORDER BY image_id FOR SHARE
"""
_PICTURE = "image_id, content_hash, perceptual_hash, width, height, duplicate_of"
_PICTURES_LIKE = f"""
SELECT {_PICTURE} FROM images JOIN (
    SELECT a.image_id, min(a.bits) AS bits
    FROM (SELECT CAST(:content_hash AS text) AS content_hash, CAST(:looks AS bigint) AS perceptual_hash) n
    CROSS JOIN LATERAL ({_alike("m.width > 0")}) a GROUP BY a.image_id
) near USING (image_id)
WHERE collection_id = :collection_id ORDER BY bits, created_at, image_id LIMIT :limit
"""
_PICTURES = f"""
SELECT {_PICTURE} FROM images WHERE collection_id = :collection_id AND image_id = ANY(:image_ids) AND width > 0
"""


def to_signed(perceptual_hash: int | None) -> int | None:
    """Return 64 bits as Postgres keeps them."""
    return perceptual_hash - 2 * _SIGN if perceptual_hash is not None and perceptual_hash >= _SIGN else perceptual_hash


def from_signed(stored: int | None) -> int | None:
    """Return what `to_signed` was given."""
    return stored + 2 * _SIGN if stored is not None and stored < 0 else stored


def looks_of(row: Row[Any]) -> Looks:
    """Read what tells a stored picture."""
    return Looks(row.image_id, row.content_hash, from_signed(row.perceptual_hash))


def one_at_a_time(connection: Connection, collection_id: int) -> None:
    """Wait until nobody else looks for duplicates in the collection, and keep others from it until the commit."""
    connection.execute(text(_LOCK), {"collection_id": collection_id})


def find_originals(
    connection: Connection, collection_id: int, arriving: Sequence[Looks], passing_over: Collection[int] = ()
) -> dict[str, str]:
    """Return of which image that can be found each picture is a duplicate, by the picture's image id: of the nearest,
    and of those the oldest. These images are held as they are until the commit. One to which a generation among
    `passing_over` is on its way will be another picture."""
    values = {
        "collection_id": collection_id,
        "image_ids": [looks.image_id for looks in arriving],
        "hashes": [looks.content_hash for looks in arriving],
        "looks": [to_signed(looks.perceptual_hash) for looks in arriving],
        "passing_over": list(passing_over),
    }
    found = {row.image_id: row.original for row in connection.execute(text(_ORIGINALS), values)}
    _hold(connection, collection_id, found, {looks.image_id: looks for looks in arriving})
    return found


def _hold(
    connection: Connection, collection_id: int, originals: Mapping[str, str], arriving: Mapping[str, Looks]
) -> None:
    if not originals:
        return
    values = {"collection_id": collection_id, "image_ids": sorted(set(originals.values()))}
    held = {row.image_id: looks_of(row) for row in connection.execute(text(_HOLD), values)}
    for image_id, original in originals.items():
        if original not in held or arriving[image_id].bits_apart(held[original]) is None:
            raise Overtaken("an original was deleted or replaced between being found and being locked")


def pictures(connection: Connection, collection_id: int, image_ids: Sequence[str]) -> dict[str, StoredPicture]:
    """Return the pictures of those images that are there and were decoded."""
    values = {"collection_id": collection_id, "image_ids": list(image_ids)}
    return {row.image_id: _to_picture(row) for row in connection.execute(text(_PICTURES), values)}


def pictures_like(
    connection: Connection, collection_id: int, content_hash: str, perceptual_hash: int | None, limit: int
) -> list[StoredPicture]:
    """Return pictures of the same bytes or of nearly the same perceptual hash, the nearest first."""
    values = {
        "collection_id": collection_id,
        "content_hash": content_hash,
        "looks": to_signed(perceptual_hash),
        "limit": limit,
    }
    return [_to_picture(row) for row in connection.execute(text(_PICTURES_LIKE), values)]


def _to_picture(row: Row[Any]) -> StoredPicture:
    looks = from_signed(row.perceptual_hash)
    return StoredPicture(row.image_id, row.content_hash, looks, row.width, row.height, row.duplicate_of or "")
