"""Reads what the metadata store knows of hits, as much as an answer can carry."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Attributes, Region
from pixvec.errors import InvalidRequest, Overloaded, Unavailable
from pixvec.rpc.attributes import attributes_size
from pixvec.rpc.blocking import BlockingCalls
from services.gateway.query import Timings

MAX_BYTES = 32 * 2**20
# At most 16 MiB at a time, by the limit of one image.
_IDS_AT_ONCE = 256
_REGIONS_AT_ONCE = 2048
# Of one run on the wire, as a rule, and of a region without any.
_RUN_BYTES = 2
_REGION_BYTES = 100
_LIMIT_S = 2.0

# An image's id and the ordinal of a region of it.
Place: TypeAlias = tuple[str, int]
_Found = TypeVar("_Found")


class Hydration:
    """Hits get their attributes and regions from the metadata store."""

    def __init__(self, images: ImageReader, sql: BlockingCalls) -> None:
        self._images = images
        self._sql = sql

    async def attributes(self, collection_id: int, image_ids: Sequence[str]) -> dict[str, Attributes]:
        """Return the attributes of those images that are there. Raises InvalidRequest for more than an answer carries,
        DatabaseUnavailable, Overloaded."""
        found: dict[str, Attributes] = {}
        size = 0
        for start in range(0, len(image_ids), _IDS_AT_ONCE):
            ids = image_ids[start : start + _IDS_AT_ONCE]
            read = await self._sql.run(self._images.attributes, collection_id, ids)
            size += sum(map(attributes_size, read.values()))
            found |= read
            if size > MAX_BYTES:
                raise InvalidRequest(
                    f"the attributes of {len(image_ids):,} hits take more than {MAX_BYTES // 2**20} MiB: ask for fewer"
                    " hits, or for none of their attributes and then for single images",
                    field="limit",
                )
        return found

    async def regions(self, collection_id: int, places: Sequence[Place], *, with_masks: bool) -> dict[Place, Region]:
        """Return those regions that are there. Raises InvalidRequest for more than an answer carries,
        DatabaseUnavailable, Overloaded."""
        found: dict[Place, Region] = {}
        size = 0
        for start in range(0, len(places), _REGIONS_AT_ONCE):
            some = places[start : start + _REGIONS_AT_ONCE]
            read = await self._sql.run(
                functools.partial(self._images.regions_at, collection_id, some, with_masks=with_masks)
            )
            size += sum(map(_size, read.values()))
            found |= read
            if size > MAX_BYTES:
                raise InvalidRequest(
                    f"the masks of {len(places):,} regions take more than {MAX_BYTES // 2**20} MiB: ask for fewer hits,"
                    " or for none of their masks and then for single images",
                    field="limit",
                )
        return found


def check_size(
    image_ids: Iterable[str],
    places: Iterable[Place],
    attributes: Mapping[str, Attributes] | None,
    regions: Mapping[Place, Region] | None,
    fewer: str,
) -> None:
    """Raise InvalidRequest, saying what to ask `fewer` of, for an answer that is more than a message carries: with the
    attributes of `image_ids` and the regions of `places`, each as often as the answer repeats it."""
    of_images = {image_id: attributes_size(each) for image_id, each in (attributes or {}).items()}
    of_regions = {place: _size(each) for place, each in (regions or {}).items()}
    size = sum(len(image_id) + of_images.get(image_id, 0) for image_id in image_ids)
    size += sum(len(place[0]) + of_regions.get(place, 0) for place in places)
    if size > MAX_BYTES:
        raise InvalidRequest(
            f"the answer takes {-(-size // 2**20):,} MiB, more than {MAX_BYTES // 2**20}: lower {fewer}, or ask without"
            " attributes or masks",
            field="limit",
        )


async def in_time(hydrating: Awaitable[_Found], left_s: float, timings: Timings) -> _Found | None:
    """Return what was read, None where the metadata store could not be reached soon."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(min(_LIMIT_S, left_s)):
            return await hydrating
    except (Unavailable, Overloaded, TimeoutError):
        return None
    finally:
        timings.hydrate += time.perf_counter() - begun


def _size(region: Region) -> int:
    return _REGION_BYTES + (_RUN_BYTES * len(region.mask.counts) if region.mask else 0)
