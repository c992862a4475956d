"""What a shard of the index promises, apart for readers and for the one writer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions, VectorStorage

Float32Array = npt.NDArray[np.float32]
Ordinals = npt.NDArray[np.uint32]

DEFAULT_OPTIONS = SearchOptions()
EXACT_INDEX = IndexSettings(IndexKind.FLAT, VectorStorage.FLOAT32)


@dataclass(frozen=True, slots=True)
class SpaceSpec:
    """What a shard has to know of a space. `digest`: what made its vectors, in hexadecimal; a snapshot of another one
    is refused. One of other `index` settings is as good: they hold for what is built from now on."""

    name: str
    dim: int
    metric: Metric
    digest: str = ""
    index: IndexSettings = field(default=EXACT_INDEX, compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One image as it is now. `vectors` maps a space to (rows, dim) float32; None means the image is gone. For cosine,
    rows need not be normalised."""

    image_id: str
    vectors: Mapping[str, Float32Array] | None


@dataclass(frozen=True, slots=True)
class ShardHits:
    """The hits of one query vector, best first, each image once. `scores` is (len(image_ids),) float32; `ordinals`,
    (len(image_ids),), says which of its image's rows each hit is, the first of equal ones; None: all are the first."""

    image_ids: list[str]
    scores: Float32Array
    ordinals: Ordinals | None = None


@dataclass(frozen=True, slots=True)
class ImageScores:
    """How well one image fits each of n queries: (n,) scores, and which of the image's rows each is of, (n,)."""

    scores: Float32Array
    ordinals: Ordinals


class ShardReader(Protocol):
    """Any number of threads may read while one writes."""

    @property
    def applied_seq(self) -> int:
        """The position in the change feed that every search sees."""

    @property
    def image_count(self) -> int:
        """Live images: those with a vector in any space."""

    @property
    def vector_bytes(self) -> int:
        """Memory the vectors take, the dead ones included."""

    def search(
        self,
        space: str,
        queries: Float32Array,
        k: int,
        min_score: float | None = None,
        options: SearchOptions = DEFAULT_OPTIONS,
    ) -> list[ShardHits]:
        """Return the best k images for each row of `queries`, (n, dim) float32, normalised or not.

        An image with several rows is found once, by its best. Equal scores are in order of image ids. Raises
        SpaceNotFound, and InvalidVector for a wrong dimension, a value that is not finite, or a row of zeros where the
        metric is cosine.
        """

    def vectors(self, space: str, image_ids: Sequence[str]) -> dict[str, Float32Array]:
        """Return stored vectors, (rows, dim) float32, of those images that are there; for cosine, normalised. Raises
        SpaceNotFound."""

    def scores(self, space: str, queries: Float32Array, image_ids: Sequence[str]) -> dict[str, ImageScores]:
        """Return how well those images that are there fit each of the queries, (n, dim) float32, by their best rows:
        exact. Raises SpaceNotFound and InvalidVector."""


class ShardWriter(Protocol):
    """One thread writes."""

    def apply(self, changes: Sequence[Change], through_seq: int) -> None:
        """Make the changes visible together and move `applied_seq` there. Of several for one image the last one holds.
        Raises InvalidVector and SpaceNotFound, changing nothing."""
