"""Brings the pictures of a chunk to where they can be embedded: their bytes are fetched, kept and decoded."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.interfaces import LeasedItem
from pixvec.jobs.sources import UriSources
from pixvec.vision.decode import Picture
from workers.decode_pool import Decoder
from workers.space_models import SpaceModel

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Fetched:
    """A picture's bytes on their way through the decoders: one future for each space."""

    content_hash: str
    size_bytes: int
    pictures: "tuple[Future[Picture], ...]"


@dataclass(frozen=True, slots=True)
class Decoded:
    """An item with its picture in each space."""

    item: LeasedItem
    content_hash: str
    size_bytes: int
    pictures: tuple[Picture, ...]


class Fetcher:
    """Fetches in threads of its own, a few pictures at once."""

    def __init__(self, blobs: BlobStore, sources: UriSources, decoder: Decoder) -> None:
        self._blobs = blobs
        self._sources = sources
        self._decoder = decoder
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch")

    def begin(self, item: LeasedItem, models: Sequence[SpaceModel]) -> "Future[Fetched]":
        """Fetch an item's bytes and hand them to the decoders, once for each space."""
        return self._threads.submit(self._fetch, item, models)

    def _fetch(self, item: LeasedItem, models: Sequence[SpaceModel]) -> Fetched:
        if item.uri:
            content = self._sources.fetch(item.uri)
            content_hash = self._blobs.put(content)
        else:
            content, content_hash = self._blobs.get(item.content_hash), item.content_hash
        # What a picture shows is the same in every space: the first one's decoder tells of it.
        pictures = tuple(
            self._decoder.decode(content, model.preprocess, hashed=place == 0) for place, model in enumerate(models)
        )
        return Fetched(content_hash, len(content), pictures)


def decoded(item: LeasedItem, fetching: "Future[Fetched]") -> Decoded:
    """Return the picture once it is there. Raises what fetching or decoding raised."""
    fetched = fetching.result()
    pictures = tuple(future.result() for future in fetched.pictures)
    return Decoded(item, fetched.content_hash, fetched.size_bytes, pictures)
