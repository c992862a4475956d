"""Finds copies of a picture: candidates come by their bytes, their hash and their vector; then each is looked at."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pixvec.catalogue.duplicates import StoredPicture
from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Consistency, Hit, Match, MatchKind, SeqToken
from pixvec.errors import NotFound, Overloaded, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.comparer import Comparer
from pixvec.telemetry.logging import get_logger
from services.gateway.directory import Directory
from services.gateway.matching import Matches, Matching, QueryPicture, reading_s
from services.gateway.pictures import StoredPictures
from services.gateway.queries import Queries
from services.gateway.query import Deadline, Query, QueryAnswer, Timings

log = get_logger(__name__)

# Looked at at most: what is nearest by vector, and what is as near by its hash.
_CANDIDATES = 32
# Of the hits of a search, as many are compared with its query.
MATCHED_HITS = 20
_ORDER = {MatchKind.EXACT: 0, MatchKind.NEAR_DUPLICATE: 1, MatchKind.SIMILAR: 2}


@dataclass(frozen=True, slots=True)
class DuplicatesQuery:
    """Exactly one of `image` (bytes of a picture) and `image_id` is set. `min_score` is for similar pictures."""

    collection: str
    image: bytes = b""
    image_id: str = ""
    limit: int = 10
    min_score: float | None = None
    consistency: Consistency = Consistency.EVENTUAL
    token: SeqToken = field(default_factory=SeqToken)


@dataclass(frozen=True, slots=True)
class DuplicatesAnswer:
    """Exact duplicates, near ones, similar pictures; what each of them is, by image id."""

    hits: list[Hit]
    matches: Mapping[str, Match]
    space: str
    shards_total: int
    shards_answered: int
    timings: Timings
    compared: int
    matches_missing: bool


class Duplicates:
    """Finds copies, and tells which hits of a search are some."""

    def __init__(
        self,
        directory: Directory,
        queries: Queries,
        images: ImageReader,
        pictures: StoredPictures,
        comparer: Comparer,
        sql: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._queries = queries
        self._images = images
        self._pictures = pictures
        self._comparer = comparer
        self._matching = Matching(images, comparer, sql)
        self._sql = sql

    async def find(self, query: DuplicatesQuery, deadline: Deadline) -> DuplicatesAnswer:
        """Return the copies and what is like them. Raises as a search does, and DatabaseUnavailable."""
        begun = time.perf_counter()
        collection_id = (await self._directory.collection(query.collection)).collection_id
        picture, search = await self._asked(query, collection_id)
        searching = asyncio.ensure_future(self._queries.run(search, deadline))
        looking = asyncio.ensure_future(self._alike(query, picture, collection_id, deadline))
        try:
            answer, alike = await asyncio.gather(searching, looking)
        finally:
            searching.cancel()
            looking.cancel()
        candidates = await self._candidates(query, alike, answer.hits, collection_id)
        matches = await self._matching.match(picture, candidates, deadline)
        answer.timings.total = time.perf_counter() - begun
        return _answer(query, answer, candidates, matches)

    async def label(self, query: Query, answer: QueryAnswer, deadline: Deadline) -> QueryAnswer:
        """Say which of the first hits of a search for a whole picture are copies of it."""
        begun = time.perf_counter()
        first = [hit.image_id for hit in answer.hits[:MATCHED_HITS]]
        matches = await self._matches(query, first, deadline)
        answer.timings.total += time.perf_counter() - begun
        return replace(answer, matches=matches.by_id, matches_missing=matches.missing)

    async def _matches(self, query: Query, image_ids: Sequence[str], deadline: Deadline) -> Matches:
        """Return what hits are to the query. They are found, so what fails now only leaves them unmatched."""
        try:
            async with asyncio.timeout(reading_s(deadline)):
                collection_id = (await self._directory.collection(query.collection)).collection_id
                picture = await self._picture(query, collection_id)
        except (Unavailable, Overloaded, NotFound, TimeoutError) as error:
            log.info("matches_missing", error=str(error))
            return Matches.none_of(image_ids)
        return await self._matching.match_ids(collection_id, picture, image_ids, deadline)

    async def _picture(self, query: Query, collection_id: int) -> QueryPicture:
        if query.image:
            return await asyncio.to_thread(QueryPicture.of_bytes, query.image)
        return QueryPicture((await self._pictures.known(collection_id, query.image_id)).content_hash)

    async def _asked(self, query: DuplicatesQuery, collection_id: int) -> tuple[QueryPicture, Query]:
        """Return the picture, and the search for what is near it by vector."""
        search = Query(
            query.collection,
            image=query.image,
            image_id=query.image_id,
            limit=max(query.limit, _CANDIDATES) + 1,
            consistency=query.consistency,
            token=query.token,
        )
        if query.image:
            return await asyncio.to_thread(QueryPicture.of_bytes, query.image), search
        image = await self._pictures.known(collection_id, query.image_id)
        # One that is linked has no vector of its own.
        return QueryPicture(image.content_hash), replace(search, image_id=image.duplicate_of or query.image_id)

    async def _alike(
        self, query: DuplicatesQuery, picture: QueryPicture, collection_id: int, deadline: Deadline
    ) -> list[StoredPicture]:
        """Return pictures of the same bytes, and those of nearly the same hash."""
        if query.image:
            looks = await self._comparer.hash_image(query.image, deadline.left_s)
        else:
            known = await self._sql.read(self._images.pictures, collection_id, [query.image_id])
            looks = known[query.image_id].perceptual_hash if query.image_id in known else None
        like = self._images.pictures_like
        return await self._sql.run(like, collection_id, picture.content_hash, looks, _CANDIDATES + 1)

    async def _candidates(
        self, query: DuplicatesQuery, alike: Sequence[StoredPicture], hits: Sequence[Hit], collection_id: int
    ) -> list[StoredPicture]:
        """Return what is to be looked at: none twice, and not the query itself."""
        near = await self._sql.run(self._images.pictures, collection_id, [hit.image_id for hit in hits])
        ordered = [near[hit.image_id] for hit in hits if hit.image_id in near]
        named = {each.image_id: each for each in [*alike[:_CANDIDATES], *ordered] if each.image_id != query.image_id}
        return list(named.values())[: 2 * _CANDIDATES]


def _answer(
    query: DuplicatesQuery, answer: QueryAnswer, candidates: Sequence[StoredPicture], matches: Matches
) -> DuplicatesAnswer:
    scores = {hit.image_id: hit.score for hit in answer.hits}
    hits = [Hit(each.image_id, scores.get(each.image_id, 0.0)) for each in candidates]
    hits = [hit for hit in hits if _is_wanted(hit, matches.by_id[hit.image_id], query)]
    hits.sort(key=lambda hit: _rank(hit, matches.by_id[hit.image_id]))
    return DuplicatesAnswer(
        hits[: query.limit],
        matches.by_id,
        answer.space,
        answer.shards_total,
        answer.shards_answered,
        answer.timings,
        matches.compared,
        matches.missing,
    )


def _is_wanted(hit: Hit, match: Match, query: DuplicatesQuery) -> bool:
    return match.kind is not MatchKind.SIMILAR or query.min_score is None or hit.score >= query.min_score


def _rank(hit: Hit, match: Match) -> tuple[int, int, float, str]:
    return _ORDER[match.kind], -match.inliers, -hit.score, hit.image_id
