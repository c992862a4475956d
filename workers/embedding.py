"""From pictures that are being fetched to vectors that can be committed. Whatever goes wrong is noted item by item."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from pixvec.catalogue.interfaces import EmbeddedItem, LeasedChunk, LeasedItem
from pixvec.errors import Overloaded, PixvecError
from pixvec.rpc.records import encode_record
from pixvec.vision.extractor import Extractor, Vectors
from workers.batcher import Batcher, Embedded
from workers.fetching import Decoded, Fetched, decoded
from workers.troubles import Troubles


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures in the model: one future for each space."""

    pictures: Sequence[Decoded]
    embedding: "Sequence[Future[Embedded]]"


class Embedding:
    """Hands pictures to the model, up to `batch_images` at once."""

    def __init__(self, batcher: Batcher, batch_images: int) -> None:
        self._batcher = batcher
        self._batch_images = batch_images

    def submit(
        self,
        items: "Iterable[tuple[LeasedItem, Future[Fetched]]]",
        extractors: Sequence[Extractor],
        troubles: Troubles,
    ) -> list[Batch]:
        """Wait for each picture to be decoded and queue it for the model, each batch as soon as it is full."""
        batches: list[Batch] = []
        for pictures in self._batched(items, troubles):
            try:
                queued = [self._batcher.submit(each, _pixels(pictures, space)) for space, each in enumerate(extractors)]
            except Overloaded as error:
                troubles.note([each.item for each in pictures], error)
            else:
                batches.append(Batch(pictures, queued))
        return batches

    def _batched(
        self, items: "Iterable[tuple[LeasedItem, Future[Fetched]]]", troubles: Troubles
    ) -> Iterator[list[Decoded]]:
        batch: list[Decoded] = []
        for item, fetching in items:
            try:
                batch.append(decoded(item, fetching))
            except Exception as error:  # noqa: BLE001  # whatever one picture raises is told of it alone
                troubles.note([item], error)
            if len(batch) == self._batch_images:
                yield batch
                batch = []
        if batch:
            yield batch


def embedded_items(chunk: LeasedChunk, batch: Batch, troubles: Troubles) -> Iterator[EmbeddedItem]:
    """Wait for the model, and yield what can be committed."""
    try:
        vectors = [future.result().vectors for future in batch.embedding]
    except Exception as error:  # noqa: BLE001  # whatever a model raises is told of the pictures it was given
        troubles.note([each.item for each in batch.pictures], error)
        return
    for row, each in enumerate(batch.pictures):
        try:
            yield _packed(chunk, each, row, vectors)
        except PixvecError as error:
            troubles.note([each.item], error)


def _packed(chunk: LeasedChunk, each: Decoded, row: int, vectors: Sequence[Vectors]) -> EmbeddedItem:
    spaces = {
        space.name: (space, of_space[row]) for space, of_space in zip(chunk.collection.spaces, vectors, strict=True)
    }
    picture = each.pictures[0]
    return EmbeddedItem(
        item=each.item,
        record=encode_record(spaces, each.item.attributes),
        content_hash=each.content_hash,
        size_bytes=each.size_bytes,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        perceptual_hash=picture.perceptual_hash,
    )


def _pixels(batch: Sequence[Decoded], space: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.stack([each.pictures[space].pixels for each in batch])
