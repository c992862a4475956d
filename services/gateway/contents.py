"""Pictures as they were taken in, and thumbnails of them."""

from dataclasses import dataclass

from pixvec.blobs.store import THUMBNAIL_SIDE, BlobStore, thumbnail_of
from pixvec.catalogue.interfaces import ImageReader
from pixvec.errors import ContentNotFound
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient
from services.gateway.directory import Directory
from services.gateway.pictures import StoredPictures

_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes with their media type."""

    data: bytes
    media_type: str


class Contents:
    """Reads pictures from the blob store; a thumbnail is rendered once and kept there."""

    def __init__(
        self,
        directory: Directory,
        images: ImageReader,
        blobs: BlobStore,
        embedder: EmbedderClient,
        sql: BlockingCalls,
        files: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._pictures = StoredPictures(images, blobs, sql, files)
        self._blobs = blobs
        self._embedder = embedder
        self._files = files

    async def original(self, collection: str, image_id: str) -> Content:
        """Return the bytes that were taken in. Raises CollectionNotFound, ImageNotFound, ContentNotFound."""
        found = await self._directory.collection(collection)
        image, data = await self._pictures.read(found.collection_id, image_id)
        return Content(data, _MEDIA_TYPES.get(image.format, "application/octet-stream"))

    async def thumbnail(self, collection: str, image_id: str, deadline_s: float) -> Content:
        """Return a JPEG of at most 256 pixels a side. Raises as `original` does, and EmbedderUnavailable."""
        found = await self._directory.collection(collection)
        image = await self._pictures.known(found.collection_id, image_id)
        name = thumbnail_of(image.content_hash, THUMBNAIL_SIDE)
        try:
            jpeg = await self._files.run(self._blobs.get_named, name)
        except ContentNotFound:
            data = await self._files.run(self._blobs.get, image.content_hash)
            jpeg = await self._embedder.render_thumbnail(data, THUMBNAIL_SIDE, deadline_s)
            await self._files.run(self._blobs.put_named, name, jpeg)
        return Content(jpeg, "image/jpeg")
