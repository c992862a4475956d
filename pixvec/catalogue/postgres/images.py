"""What is known of images."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, text

from pixvec.catalogue.duplicates import StoredPicture
from pixvec.catalogue.models import ImageRow
from pixvec.catalogue.postgres.database import Store, reading
from pixvec.catalogue.postgres.duplicates import pictures, pictures_like
from pixvec.catalogue.postgres.rows import to_error, to_region
from pixvec.domain import Attributes, Image, ImageState, Region
from pixvec.errors import ImageNotFound

# Of jobs only what is open, which is little beside all there ever was.
_IN_USE = """
SELECT content_hash FROM images WHERE content_hash = ANY(:hashes) AND content_hash <> ''
UNION
SELECT i.content_hash FROM job_chunks c JOIN job_items i USING (job_id, chunk)
WHERE c.open_items > 0 AND i.state = 'open' AND i.content_hash = ANY(:hashes) AND i.content_hash <> ''
UNION
SELECT content_hash FROM models WHERE content_hash = ANY(:hashes)
"""
_REGIONS = """
SELECT * FROM regions WHERE collection_id = :collection_id AND image_id = :image_id ORDER BY ordinal
"""
_REGIONS_AT = """
SELECT r.image_id, r.ordinal, r.x1, r.y1, r.x2, r.y2, r.class_name, r.score,
    CASE WHEN :with_masks THEN r.mask END AS mask
FROM unnest(CAST(:image_ids AS text[]), CAST(:ordinals AS integer[])) AS n(image_id, ordinal)
JOIN regions r ON r.collection_id = :collection_id AND r.image_id = n.image_id AND r.ordinal = n.ordinal
"""


class PostgresImageReader(Store):
    """ImageReader in Postgres."""

    @reading
    def get(self, connection: Connection, collection_id: int, image_id: str) -> Image:
        """Raises ImageNotFound."""
        of_image = (ImageRow.collection_id == collection_id, ImageRow.image_id == image_id)
        row = connection.execute(select(ImageRow.__table__).where(*of_image)).one_or_none()
        if row is None:
            raise ImageNotFound(f"no image {image_id!r} in this collection", field="image_id")
        return Image(
            image_id=row.image_id,
            state=_state_of(row),
            content_hash=row.content_hash,
            size_bytes=row.size_bytes,
            format=row.format,
            width=row.width,
            height=row.height,
            attributes=row.attributes,
            created_at=row.created_at,
            updated_at=row.updated_at,
            error=to_error(row),
            duplicate_of=row.duplicate_of or "",
        )

    @reading
    def attributes(self, connection: Connection, collection_id: int, image_ids: Sequence[str]) -> dict[str, Attributes]:
        """Return the attributes of those images that are there."""
        of_images = (ImageRow.collection_id == collection_id, ImageRow.image_id.in_(image_ids))
        rows = connection.execute(select(ImageRow.image_id, ImageRow.attributes).where(*of_images))
        return {row.image_id: row.attributes for row in rows}

    @reading
    def regions(self, connection: Connection, collection_id: int, image_id: str) -> list[Region]:
        """Return every region of an image, by ordinal, with its mask."""
        of_image = {"collection_id": collection_id, "image_id": image_id}
        return [to_region(row) for row in connection.execute(text(_REGIONS), of_image)]

    @reading
    def regions_at(
        self,
        connection: Connection,
        collection_id: int,
        places: Sequence[tuple[str, int]],
        *,
        with_masks: bool = False,
    ) -> dict[tuple[str, int], Region]:
        """Return those regions that are there, each named by its image's id and its ordinal."""
        values = {
            "collection_id": collection_id,
            "image_ids": [image_id for image_id, _ in places],
            "ordinals": [ordinal for _, ordinal in places],
            "with_masks": with_masks,
        }
        rows = connection.execute(text(_REGIONS_AT), values)
        return {(row.image_id, row.ordinal): to_region(row) for row in rows}

    @reading
    def pictures(
        self, connection: Connection, collection_id: int, image_ids: Sequence[str]
    ) -> dict[str, StoredPicture]:
        """Return the pictures of those images that are there and were decoded."""
        return pictures(connection, collection_id, image_ids)

    @reading
    def pictures_like(
        self, connection: Connection, collection_id: int, content_hash: str, perceptual_hash: int | None, limit: int
    ) -> list[StoredPicture]:
        """Return up to `limit` pictures of the same bytes, or of nearly the same perceptual hash."""
        return pictures_like(connection, collection_id, content_hash, perceptual_hash, limit)

    @reading
    def contents_in_use(self, connection: Connection, content_hashes: Sequence[str]) -> set[str]:
        """Return those of the hashes whose bytes an image, an open item of a job or a fitted model refers to."""
        return set(connection.execute(text(_IN_USE), {"hashes": list(content_hashes)}).scalars())


def _state_of(row: Row[Any]) -> ImageState:
    if row.live_generation is not None:
        return ImageState.INDEXED
    if row.duplicate_of is not None:
        return ImageState.LINKED
    return ImageState.FAILED if row.reason is not None else ImageState.PENDING
