"""Brings the pictures of a sample to where something can be fitted on them: fetched, decoded, in order."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.trainings import SampledImage
from pixvec.errors import ContentNotFound, PictureError
from pixvec.vision.decode import Picture
from pixvec.vision.preprocess import Preprocess
from workers.decode_pool import Decoder

_AT_ONCE = 4
# On their way at once: enough to keep every decoder busy, few enough to hold in memory.
_AHEAD = 32


class Sampler:
    """Fetches in threads of its own, a few pictures ahead of whoever takes them."""

    def __init__(self, blobs: BlobStore, decoder: Decoder) -> None:
        self._blobs = blobs
        self._decoder = decoder
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sample")

    def pictures(self, images: Iterable[SampledImage], preprocess: Preprocess) -> Iterator[Picture | None]:
        """Yield each image's picture as the model takes it, None for one that is gone or cannot be decoded.

        Raises Unavailable.
        """
        coming: deque[Future[Future[Picture]]] = deque()
        try:
            for image in images:
                coming.append(self._threads.submit(self._decode, image, preprocess))
                if len(coming) > _AHEAD:
                    yield _arrived(coming.popleft())
            while coming:
                yield _arrived(coming.popleft())
        finally:
            for each in coming:
                each.cancel()

    def _decode(self, image: SampledImage, preprocess: Preprocess) -> "Future[Picture]":
        return self._decoder.decode(self._blobs.get(image.content_hash), preprocess)


def _arrived(coming: "Future[Future[Picture]]") -> Picture | None:
    try:
        return coming.result().result()
    except (ContentNotFound, PictureError):
        return None
