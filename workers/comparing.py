"""Looks for one picture in others. Decoding is the decoders' work; what they give is compared here, in threads."""

import asyncio
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
from PIL import Image

from pixvec.blobs.store import BlobStore
from pixvec.errors import ContentNotFound, Overloaded, PictureError, Unavailable
from pixvec.vision.copy_detection import SIDE, Copy, Look, find_copy, look_at
from pixvec.vision.preprocess import Fit, Preprocess
from workers.decode_pool import Decoder

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE = 4
# As large as the smallest picture that a model takes: the hash of a picture that is stored was made of about as much.
_HASHED = Preprocess(256, 256, Fit.SQUASH)


@dataclass(frozen=True, slots=True)
class Compared:
    """A candidate that was compared: where the query lies in it, None where it does not."""

    copy: Copy | None


class Comparing:
    """`threads` compare at once, for all callers. The last `kept` stored pictures are remembered as they were looked
    at, about a megabyte each: those who look for copies look at the same ones again and again."""

    def __init__(self, decoder: Decoder, blobs: BlobStore, *, threads: int = 2, kept: int = 96) -> None:
        self._decoder = decoder
        self._blobs = blobs
        self._kept = kept
        # By content hash, the one asked for last at the end. Of the event loop's thread alone.
        self._looks: dict[str, Look] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="compare")

    async def perceptual_hash(self, image: bytes) -> int | None:
        """Return the hash of a picture, None for a plain one. Raises PictureError, Overloaded."""
        decoded = await asyncio.wrap_future(self._decoder.decode(image, _HASHED, priority=True, hashed=True))
        return decoded.perceptual_hash

    async def compare(self, query: bytes | str, candidates: Sequence[str], limit_s: float) -> list[Compared | None]:
        """Look for the query, bytes or a content hash, in each candidate. Return None for those that could not be
        compared: there was no time left, or their bytes cannot be had.

        Raises PictureError, ContentNotFound or Overloaded for the query.
        """
        places = asyncio.Semaphore(_AT_ONCE)
        looked = asyncio.ensure_future(self._look(query))
        tasks = [asyncio.ensure_future(self._compare(looked, each, places)) for each in candidates]
        try:
            await asyncio.wait([looked, *tasks], timeout=limit_s)
            if looked.done():
                looked.result()
            return [task.result() if task.done() else None for task in tasks]
        finally:
            for task in (looked, *tasks):
                task.cancel()
            await asyncio.gather(looked, *tasks, return_exceptions=True)

    async def _compare(
        self, looked: "asyncio.Future[Look]", candidate: str, places: asyncio.Semaphore
    ) -> Compared | None:
        async with places:
            query = await asyncio.shield(looked)
            try:
                look = await self._look(candidate)
            except (PictureError, ContentNotFound, Overloaded, Unavailable):
                return None
            return Compared(await self._in_thread(find_copy, query, look))

    async def _look(self, picture: bytes | str) -> Look:
        if isinstance(picture, bytes):
            return await self._make_look(picture)
        known = self._looks.pop(picture, None)
        look = known or await self._make_look(await self._in_thread(self._blobs.get, picture))
        self._looks[picture] = look
        while len(self._looks) > self._kept:
            del self._looks[next(iter(self._looks))]
        return look

    async def _make_look(self, content: bytes) -> Look:
        # A picture of ours: small, upright, and safe to decode here.
        small = await asyncio.wrap_future(self._decoder.thumbnail(content, SIDE))
        return await self._in_thread(_look_at, small)

    async def _in_thread(self, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._threads.submit(run, *args, **kwargs))


def _look_at(jpeg: bytes) -> Look:
    with Image.open(io.BytesIO(jpeg)) as picture:
        return look_at(np.asarray(picture.convert("RGB")))
