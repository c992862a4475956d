"""Checks the items of an Ingest stream one by one: a bad one fails alone."""

from dataclasses import dataclass

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.catalogue.interfaces import ItemStatus, NewItem
from pixvec.domain import Attributes, IngestStage, ItemError
from pixvec.errors import PictureEmpty, PictureTooLarge, PixvecError
from pixvec.rpc.attributes import check_attributes_size, from_values
from pixvec.rpc.validation import check


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item as it came off the stream: bytes of a picture, or a `uri`."""

    ordinal: int
    image_id: str
    attributes: Attributes
    content: bytes
    uri: str

    def stored(self, content_hash: str) -> NewItem:
        """Return the item as it is recorded once its bytes are stored; `content_hash` is empty for a URI."""
        return NewItem(self.ordinal, self.image_id, self.attributes, content_hash, len(self.content), self.uri)


def to_arrival(item: pb.IngestItem, max_picture_bytes: int) -> Arrival:
    """Return the item. Raises InvalidRequest, PictureEmpty or PictureTooLarge, naming it."""
    check(item)
    content = item.content
    if not item.uri and not content:
        raise PictureEmpty("no bytes at all; send the picture's bytes, or its URI", field="content")
    if len(content) > max_picture_bytes:
        raise PictureTooLarge(
            f"{len(content):,} bytes; the limit is {max_picture_bytes:,}. Send it smaller, or raise the limit",
            field="content",
        )
    attributes = from_values(item.attributes)
    check_attributes_size(attributes)
    return Arrival(item.ordinal, item.image_id, attributes, content, item.uri)


def refused(ordinal: int, image_id: str, error: PixvecError) -> ItemStatus:
    """Return the status of an item that was not taken."""
    name = image_id[:200] or f"item {ordinal}"
    why = ItemError(error.reason, f"{name}: {error.message}", error.retryable)
    return ItemStatus(ordinal, image_id, IngestStage.QUEUED, why)
