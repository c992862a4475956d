"""What is known of images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pixvec.catalogue.duplicates import Looks, StoredPicture
from pixvec.catalogue.memory.duplicates import looks_of
from pixvec.catalogue.memory.state import Store, StoredRow, locked
from pixvec.domain import Attributes, Image, ImageState, Region
from pixvec.errors import ImageNotFound


class MemoryImageReader(Store):
    """ImageReader in memory."""

    @locked
    def get(self, collection_id: int, image_id: str) -> Image:
        """Raises ImageNotFound."""
        holding = self._state.holdings.get(collection_id)
        row = None if holding is None else holding.images.get(image_id)
        if row is None:
            raise ImageNotFound(f"no image {image_id!r} in this collection", field="image_id")
        return Image(
            image_id=image_id,
            state=_state_of(row),
            content_hash=row.content_hash,
            size_bytes=row.size_bytes,
            format=row.format,
            width=row.width,
            height=row.height,
            attributes=row.attributes,
            created_at=row.created_at,
            updated_at=row.updated_at,
            error=row.error,
            duplicate_of=row.duplicate_of,
        )

    @locked
    def attributes(self, collection_id: int, image_ids: Sequence[str]) -> dict[str, Attributes]:
        """Return the attributes of those images that are there."""
        holding = self._state.holdings.get(collection_id)
        images = {} if holding is None else holding.images
        return {image_id: images[image_id].attributes for image_id in image_ids if image_id in images}

    @locked
    def regions(self, collection_id: int, image_id: str) -> list[Region]:
        """Return every region of an image, by ordinal, with its mask."""
        holding = self._state.holdings.get(collection_id)
        row = None if holding is None else holding.images.get(image_id)
        return [] if row is None else list(row.regions)

    @locked
    def regions_at(
        self, collection_id: int, places: Sequence[tuple[str, int]], *, with_masks: bool = False
    ) -> dict[tuple[str, int], Region]:
        """Return those regions that are there, each named by its image's id and its ordinal."""
        found = {
            (image_id, region.ordinal): region if with_masks else replace(region, mask=None)
            for image_id in {image_id for image_id, _ in places}
            for region in self.regions(collection_id, image_id)
        }
        return {place: found[place] for place in places if place in found}

    @locked
    def pictures(self, collection_id: int, image_ids: Sequence[str]) -> dict[str, StoredPicture]:
        """Return the pictures of those images that are there and were decoded."""
        images = self._images(collection_id)
        return {each: _to_picture(each, images[each]) for each in image_ids if each in images and images[each].width}

    @locked
    def pictures_like(
        self, collection_id: int, content_hash: str, perceptual_hash: int | None, limit: int
    ) -> list[StoredPicture]:
        """Return up to `limit` pictures of the same bytes, or of nearly the same perceptual hash."""
        wanted, near = Looks("", content_hash, perceptual_hash), []
        for image_id, row in self._images(collection_id).items():
            bits = wanted.bits_apart(looks_of(image_id, row))
            if bits is not None and row.width:
                near.append((bits, row.created_at, image_id))
        images = self._images(collection_id)
        return [_to_picture(image_id, images[image_id]) for _, _, image_id in sorted(near)[:limit]]

    def _images(self, collection_id: int) -> Mapping[str, StoredRow]:
        holding = self._state.holdings.get(collection_id)
        return {} if holding is None else holding.images

    @locked
    def contents_in_use(self, content_hashes: Sequence[str]) -> set[str]:
        """Return those of the hashes whose bytes an image, an open item of a job or a fitted model refers to."""
        used = {row.content_hash for holding in self._state.holdings.values() for row in holding.images.values()}
        for job in self._state.jobs.values():
            used |= {item.content_hash for item in job.items.values() if item.open}
        used |= {model.content_hash for model in self._state.models.values()}
        return used & set(content_hashes) - {""}


def _state_of(row: StoredRow) -> ImageState:
    if row.live_generation is not None:
        return ImageState.INDEXED
    if row.duplicate_of:
        return ImageState.LINKED
    return ImageState.FAILED if row.error is not None else ImageState.PENDING


def _to_picture(image_id: str, row: StoredRow) -> StoredPicture:
    return StoredPicture(image_id, row.content_hash, row.perceptual_hash, row.width, row.height, row.duplicate_of)
