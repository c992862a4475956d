"""From pictures that are being fetched to vectors that can be committed. Whatever goes wrong is noted item by item."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from pixvec.catalogue.interfaces import EmbeddedItem, LeasedChunk, LeasedItem
from pixvec.errors import Overloaded
from pixvec.rpc.records import encode_record
from workers.batcher import Batcher
from workers.fetching import Decoded, Fetched, decoded
from workers.space_models import Filled, Filling, SpaceModel
from workers.troubles import Troubles


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures in the models: a filling a picture for each space."""

    pictures: Sequence[Decoded]
    spaces: Sequence[Sequence[Filling]]


class Embedding:
    """Hands pictures to the models, up to `batch_images` at once."""

    def __init__(self, batcher: Batcher, batch_images: int) -> None:
        self._batcher = batcher
        self._batch_images = batch_images

    def submit(
        self,
        items: "Iterable[tuple[LeasedItem, Future[Fetched]]]",
        models: Sequence[SpaceModel],
        troubles: Troubles,
    ) -> list[Batch]:
        """Wait for each picture to be decoded and queue it for the models, each batch as soon as it is full."""
        batches: list[Batch] = []
        for pictures in self._batched(items, troubles):
            try:
                queued = [
                    model.submit(self._batcher, [each.pictures[space] for each in pictures])
                    for space, model in enumerate(models)
                ]
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


def embedded_items(
    chunk: LeasedChunk, batch: Batch, troubles: Troubles, comes: Callable[[Filling], bool]
) -> Iterator[EmbeddedItem]:
    """Wait for the models, and yield what can be committed. What does not come by what `comes` says is left out."""
    for place, each in enumerate(batch.pictures):
        fillings = [of_space[place] for of_space in batch.spaces]
        if not all(map(comes, fillings)):
            continue
        try:
            yield _packed(chunk, each, [filling.read(filling.passing.result()) for filling in fillings])
        except Exception as error:  # noqa: BLE001  # whatever a model raises is told of the pictures it was given
            troubles.note([each.item], error)


def _packed(chunk: LeasedChunk, each: Decoded, filled: Sequence[Filled]) -> EmbeddedItem:
    spaces = {
        space.name: (space, of_space.vectors) for space, of_space in zip(chunk.collection.spaces, filled, strict=True)
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
        regions=tuple(region for of_space in filled for region in of_space.regions),
    )
