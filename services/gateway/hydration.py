"""Reads the attributes of hits, as many as an answer can carry."""

from collections.abc import Sequence

from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Attributes
from pixvec.errors import InvalidRequest
from pixvec.rpc.attributes import attributes_size
from pixvec.rpc.blocking import BlockingCalls

MAX_BYTES = 32 * 2**20
# At most 16 MiB at a time, by the limit of one image.
_IDS_AT_ONCE = 256


class Hydration:
    """Hits get their attributes from the metadata store."""

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
