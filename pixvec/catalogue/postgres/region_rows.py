"""Writing and removing the regions of images, with the images themselves."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from pixvec.catalogue.interfaces import EmbeddedItem
from pixvec.catalogue.postgres.rows import from_mask

_INSERT = """
INSERT INTO regions (collection_id, image_id, ordinal, x1, y1, x2, y2, class_name, score, mask)
SELECT :collection_id, n.* FROM unnest(CAST(:image_ids AS text[]), CAST(:ordinals AS integer[]), CAST(:x1 AS real[]),
    CAST(:y1 AS real[]), CAST(:x2 AS real[]), CAST(:y2 AS real[]), CAST(:classes AS text[]), CAST(:scores AS real[]),
    CAST(:masks AS bytea[])) AS n
"""
_DELETE = "DELETE FROM regions WHERE collection_id = :collection_id AND image_id = ANY(:image_ids)"


def write_regions(connection: Connection, collection_id: int, embedded: Sequence[EmbeddedItem]) -> None:
    """Write the regions of images that have none: of an older version they are to be deleted first."""
    found = [(each.item.image_id, region) for each in embedded for region in each.regions]
    if not found:
        return
    values = {
        "collection_id": collection_id,
        "image_ids": [image_id for image_id, _ in found],
        "ordinals": [region.ordinal for _, region in found],
        "x1": [region.box.x1 for _, region in found],
        "y1": [region.box.y1 for _, region in found],
        "x2": [region.box.x2 for _, region in found],
        "y2": [region.box.y2 for _, region in found],
        "classes": [region.class_name for _, region in found],
        "scores": [region.score for _, region in found],
        "masks": [from_mask(region.mask) for _, region in found],
    }
    connection.execute(text(_INSERT), values)


def delete_regions(connection: Connection, collection_id: int, image_ids: Collection[str]) -> None:
    """Remove the regions of some images."""
    if image_ids:
        connection.execute(text(_DELETE), {"collection_id": collection_id, "image_ids": list(image_ids)})
