"""Finds the objects of pictures that somebody waits for, or describes boxes drawn into them."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from pixvec.domain import Box, Mask, Region
from pixvec.errors import BoxOutside, InvalidRequest, PictureError, PixvecError
from pixvec.vision.decode import Picture
from pixvec.vision.detector import Boxes, Detections, RegionExtractor, clip_boxes, scale_boxes
from workers.batcher import Batcher, Detected
from workers.decode_pool import Decoder


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """One picture, `width` x `height` pixels when upright, with its regions in those, and a vector each: (n, dim)."""

    regions: tuple[Region, ...]
    vectors: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """What became of each picture, and where the time went."""

    outcomes: Sequence[SeenPicture | PictureError]
    queue_s: float
    decode_s: float
    inference_s: float


class Detecting:
    """Goes ahead of bulk work, picture by picture: a detector's pass is shared by those who wait for the same one."""

    def __init__(self, decoder: Decoder, batcher: Batcher) -> None:
        self._decoder = decoder
        self._batcher = batcher

    async def see(self, regions: RegionExtractor, images: Sequence[bytes], boxes: Sequence[Box | None]) -> SeenPictures:
        """Find the objects of each picture, or describe its box. One that is no picture, or has not the box, is an
        outcome. Raises Overloaded when there is no room for all of them."""
        begun = time.monotonic()
        pictures = await _outcomes(self._decode(regions, images))
        decoded = time.monotonic()
        waiting = self._submit(regions, pictures, boxes)
        found = await asyncio.gather(*(_finished(each) for each in waiting))
        passes = [each for each in found if isinstance(each, Detected)]
        return SeenPictures(
            [_outcome(picture, each) for picture, each in zip(pictures, found, strict=True)],
            max((each.queue_s for each in passes), default=0.0),
            decoded - begun,
            max((each.inference_s for each in passes), default=0.0),
        )

    def _decode(self, regions: RegionExtractor, images: Sequence[bytes]) -> "list[Future[Picture]]":
        decoding: list[Future[Picture]] = []
        try:
            decoding.extend(self._decoder.decode(image, regions.preprocess, priority=True) for image in images)
        except PixvecError:
            _cancel(decoding)
            raise
        return decoding

    def _submit(
        self, regions: RegionExtractor, pictures: Sequence[Picture | PictureError], boxes: Sequence[Box | None]
    ) -> "list[Future[Detected] | PictureError]":
        waiting: list[Future[Detected] | PictureError] = []
        try:
            for picture, box in zip(pictures, boxes, strict=True):
                waiting.append(self._submit_one(regions, picture, box))
        except PixvecError:
            _cancel([each for each in waiting if isinstance(each, Future)])
            raise
        return waiting

    def _submit_one(
        self, regions: RegionExtractor, picture: Picture | PictureError, box: Box | None
    ) -> "Future[Detected] | PictureError":
        if isinstance(picture, PictureError):
            return picture
        drawn = None if box is None else _drawn(picture, box)
        if isinstance(drawn, PictureError):
            return drawn
        return self._batcher.submit_regions(regions, picture.pixels, boxes=drawn, priority=True)


def to_regions(picture: Picture, found: Detections) -> tuple[Region, ...]:
    """Return what was found in a picture's pixels, in pixels of the upright original."""
    height, width, _ = picture.pixels.shape
    boxes = scale_boxes(found.boxes, (width, height), (picture.width, picture.height)).tolist()
    masks: Sequence[Mask | None] = found.masks or [None] * len(found)
    rows = zip(boxes, found.labels, found.scores.tolist(), masks, strict=True)
    return tuple(Region(n, Box(*box), label, score, mask) for n, (box, label, score, mask) in enumerate(rows))


def _drawn(picture: Picture, box: Box) -> Boxes | BoxOutside:
    """Return a box of the upright original in the pixels that the detector takes, (1, 4), or why it is none."""
    upright = np.array([[box.x1, box.y1, box.x2, box.y2]], np.float32)
    height, width, _ = picture.pixels.shape
    try:
        clipped = clip_boxes(upright, picture.width, picture.height)
        # Once more: a box may be too thin for anything to be left of it in fewer pixels.
        return clip_boxes(scale_boxes(clipped, (picture.width, picture.height), (width, height)), width, height)
    except InvalidRequest as error:
        return BoxOutside(error.message, field=error.field)


def _outcome(picture: Picture | PictureError, found: Detected | PictureError) -> SeenPicture | PictureError:
    if isinstance(picture, PictureError):
        return picture
    if isinstance(found, PictureError):
        return found
    (detections,) = found.pictures
    regions = to_regions(picture, detections)
    return SeenPicture(regions, detections.vectors, picture.width, picture.height)


async def _outcomes(decoding: "Sequence[Future[Picture]]") -> list[Picture | PictureError]:
    return await asyncio.gather(*map(_decoded, decoding))


async def _decoded(decoding: "Future[Picture]") -> Picture | PictureError:
    try:
        return await asyncio.wrap_future(decoding)
    except PictureError as error:
        return error


async def _finished(waiting: "Future[Detected] | PictureError") -> Detected | PictureError:
    if isinstance(waiting, PictureError):
        return waiting
    return await asyncio.wrap_future(waiting)


def _cancel(futures: "Sequence[Future[Picture]] | Sequence[Future[Detected]]") -> None:
    """Nobody waits for those that there was room for."""
    for each in futures:
        each.cancel()
