"""Says of stored pictures whether they are copies of the query picture."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixvec.catalogue.duplicates import StoredPicture
from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Match, MatchKind
from pixvec.errors import ContentNotFound, Overloaded, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.comparer import Comparer, Comparison
from pixvec.telemetry.logging import get_logger
from services.gateway.query import Deadline

log = get_logger(__name__)

# What comparing may take at most, and of the time that is left.
_LIMIT_S = 10.0
_SHARE = 0.8
# After that share nobody waits for the worker any more: what is left is for the way back.
_CALL_SHARE = 0.9
# What is read for hits that are already found.
_READ_LIMIT_S = 2.0
_READ_SHARE = 0.5
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """A picture that copies are looked for: its bytes, or none where it is stored, and their SHA-256."""

    content_hash: str
    image: bytes = b""

    @staticmethod
    def of_bytes(image: bytes) -> "QueryPicture":
        """Return the picture that somebody sent."""
        return QueryPicture(hashlib.sha256(image).hexdigest(), image)


@dataclass(frozen=True, slots=True)
class Matches:
    """What each picture is to the query, by image id. `compared`: how many were compared; `missing`: some could not
    be, and count as similar for that."""

    by_id: Mapping[str, Match]
    compared: int
    missing: bool

    @staticmethod
    def none_of(image_ids: Sequence[str]) -> "Matches":
        """Return what is known of pictures none of which could be compared."""
        return Matches(dict.fromkeys(image_ids, Match(MatchKind.SIMILAR)), 0, missing=True)


class Matching:
    """Equal bytes are told apart here; for the rest the workers look."""

    def __init__(self, images: ImageReader, comparer: Comparer, sql: BlockingCalls) -> None:
        self._images = images
        self._comparer = comparer
        self._sql = sql

    async def match_ids(
        self, collection_id: int, query: QueryPicture, image_ids: Sequence[str], deadline: Deadline
    ) -> Matches:
        """Say what images are to the query. Where the metadata store cannot be reached, none was compared."""
        try:
            async with asyncio.timeout(reading_s(deadline)):
                found = await self._sql.read(self._images.pictures, collection_id, image_ids)
        except (Unavailable, Overloaded, TimeoutError) as error:
            log.info("matches_missing", error=str(error))
            return Matches.none_of(image_ids)
        matches = await self.match(query, list(found.values()), deadline)
        unknown = [image_id for image_id in image_ids if image_id not in found]
        by_id = {**matches.by_id, **dict.fromkeys(unknown, Match(MatchKind.SIMILAR))}
        return Matches(by_id, matches.compared, matches.missing or bool(unknown))

    async def match(self, query: QueryPicture, pictures: Sequence[StoredPicture], deadline: Deadline) -> Matches:
        """Say what up to 64 pictures are to the query, by comparing those of other bytes. Raises PictureError."""
        others = list(dict.fromkeys(each.content_hash for each in pictures if each.content_hash != query.content_hash))
        compared = dict(zip(others, await self._compare(query, others, deadline), strict=True))
        by_id = {each.image_id: _match(each, compared.get(each.content_hash)) for each in pictures}
        missing = any(not each.compared for each in compared.values())
        return Matches(by_id, sum(each.compared for each in compared.values()), missing)

    async def _compare(self, query: QueryPicture, others: Sequence[str], deadline: Deadline) -> list[Comparison]:
        left_s = deadline.left_s
        if not others or left_s <= 0:
            return [Comparison(compared=False)] * len(others)
        limit_s = min(_LIMIT_S, _SHARE * left_s)
        try:
            shown = query.image or query.content_hash
            return await self._comparer.compare(shown, others, limit_s, _CALL_SHARE * left_s)
        except (Unavailable, Overloaded, ContentNotFound) as error:
            log.info("matches_missing", error=error.message)
            return [Comparison(compared=False)] * len(others)


def reading_s(deadline: Deadline) -> float:
    """Return what may pass before hits that are found go without what they are to the query."""
    return min(_READ_LIMIT_S, _READ_SHARE * deadline.left_s)


def _match(picture: StoredPicture, compared: Comparison | None) -> Match:
    """Return what a picture is: the very bytes where there was nothing to compare."""
    if compared is None:
        return Match(MatchKind.EXACT, 0, _in_pixels(_CORNERS, picture))
    if not compared.inliers:
        return Match(MatchKind.SIMILAR)
    return Match(MatchKind.NEAR_DUPLICATE, compared.inliers, _in_pixels(compared.quad_xy, picture))


def _in_pixels(quad_xy: Sequence[tuple[float, float]], picture: StoredPicture) -> tuple[tuple[float, float], ...]:
    return tuple((x * picture.width, y * picture.height) for x, y in quad_xy)
