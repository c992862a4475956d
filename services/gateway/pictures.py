"""The bytes of images, from the blob store."""

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Image
from pixvec.errors import ContentNotFound
from pixvec.rpc.blocking import BlockingCalls


class StoredPictures:
    """Pictures as they were taken in."""

    def __init__(self, images: ImageReader, blobs: BlobStore, sql: BlockingCalls, files: BlockingCalls) -> None:
        self._images = images
        self._blobs = blobs
        self._sql = sql
        self._files = files

    async def read(self, collection_id: int, image_id: str) -> tuple[Image, bytes]:
        """Return what is known of an image, and its bytes. Raises ImageNotFound, ContentNotFound,
        DatabaseUnavailable."""
        image = await self.known(collection_id, image_id)
        return image, await self._files.run(self._blobs.get, image.content_hash)

    async def known(self, collection_id: int, image_id: str) -> Image:
        """Return what is known of an image whose bytes are stored. Raises as `read` does."""
        image = await self._sql.read(self._images.get, collection_id, image_id)
        if not image.content_hash:
            raise ContentNotFound(
                f"the bytes of {image.image_id!r} are not stored; wait until it has been fetched from its URI",
                field="image_id",
            )
        return image
