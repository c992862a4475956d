"""What fills the spaces of a collection, one way for whole pictures and one for regions."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pixvec.domain import Collection, Region, Space
from pixvec.errors import Overloaded
from pixvec.vision.decode import Picture
from pixvec.vision.detector import RegionExtractor
from pixvec.vision.extractor import Extractor, Vectors
from pixvec.vision.preprocess import AnyPreprocess
from workers.batcher import Batcher, Detected, Embedded
from workers.detecting import to_regions
from workers.model_host import ModelHost
from workers.region_models import RegionKey


@dataclass(frozen=True, slots=True)
class Filled:
    """What one picture has in a space: (n, dim) float32 vectors, and the regions that they stand for."""

    vectors: Vectors
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class Filling:
    """One picture on its way through a model. `may_be_given_up`: what has not begun may take long, and is not worth
    waiting for when the worker is to stop."""

    passing: "Future[Any]"
    read: Callable[[Any], Filled]
    may_be_given_up: bool = False


class SpaceModel(Protocol):
    """Fills one space."""

    @property
    def preprocess(self) -> AnyPreprocess:
        """The pixels it takes."""
        ...

    def submit(self, batcher: Batcher, pictures: Sequence[Picture]) -> list[Filling]:
        """Queue pictures for the model, behind those that somebody waits for. Raises Overloaded."""
        ...


@dataclass(frozen=True, slots=True)
class WholePictures:
    """One vector a picture."""

    extractor: Extractor

    @property
    def preprocess(self) -> AnyPreprocess:
        """The pixels it takes."""
        return self.extractor.preprocess

    def submit(self, batcher: Batcher, pictures: Sequence[Picture]) -> list[Filling]:
        """Queue all pictures as one batch."""
        passing = batcher.submit(self.extractor, np.stack([picture.pixels for picture in pictures]))
        return [Filling(passing, _row(place)) for place in range(len(pictures))]


@dataclass(frozen=True, slots=True)
class Objects:
    """A vector for each object of a picture."""

    extractor: RegionExtractor

    @property
    def preprocess(self) -> AnyPreprocess:
        """The pixels it takes."""
        return self.extractor.preprocess

    def submit(self, batcher: Batcher, pictures: Sequence[Picture]) -> list[Filling]:
        """Queue each picture for itself, or none where there is no room for all."""
        fillings: list[Filling] = []
        try:
            for picture in pictures:
                passing = batcher.submit_regions(self.extractor, picture.pixels)
                fillings.append(Filling(passing, _objects(picture), may_be_given_up=True))
        except Overloaded:
            for each in fillings:
                each.passing.cancel()
            raise
        return fillings


def models_of(collection: Collection, host: ModelHost) -> tuple[SpaceModel, ...]:
    """Load what fills each space. Raises what loading it raises, and DigestMismatch."""
    return tuple(_model_of(space, collection.spaces[0].model, host) for space in collection.spaces)


def _model_of(space: Space, image_model: str, host: ModelHost) -> SpaceModel:
    if space.regions is None:
        return WholePictures(host.get(space.model, space.digest))
    return Objects(host.regions.get(RegionKey(space.regions, image_model), space.digest))


def _row(place: int) -> Callable[[Embedded], Filled]:
    return lambda embedded: Filled(embedded.vectors[place : place + 1])


def _objects(picture: Picture) -> Callable[[Detected], Filled]:
    return lambda detected: Filled(detected.pictures[0].vectors, to_regions(picture, detected.pictures[0]))
