"""What is searched: vectors of real pictures where the caller has some, the exact answers, and how many were found."""

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import descriptors, image_vectors
from pixvec.domain import Metric
from pixvec.index.library import load_faiss

Float32Array = npt.NDArray[np.float32]

K = 10
# Distances are compared in float32, and stored vectors are float16.
_SLACK = 1e-3


@dataclass(frozen=True, eq=False)
class VectorSet:
    """`base` (n, dim) and `queries` (m, dim); no query is in the base. `origin` says where they come from."""

    name: str
    origin: str
    metric: Metric
    base: Float32Array
    queries: Float32Array

    @property
    def dim(self) -> int:
        """Numbers a vector."""
        return int(self.base.shape[1])

    @functools.cached_property
    def furthest(self) -> Float32Array:
        """Distances of the K-th nearest vector of the base, (m,)."""
        faiss = load_faiss()
        metric = faiss.METRIC_L2 if self.metric is Metric.EUCLIDEAN else faiss.METRIC_INNER_PRODUCT
        found, _ = faiss.knn(self.queries, self.base, K, metric=metric)
        distances: Float32Array = found[:, -1] if self.metric is Metric.EUCLIDEAN else 1 - found[:, -1]
        return distances

    def recall(self, answers: Sequence[Sequence[int]]) -> float:
        """Return recall@10: the share of places held by one of the nearest. `answers`: rows of the base for the first
        len(answers) queries. One as near as the tenth counts as the tenth."""
        hits = 0
        for query, furthest, rows in zip(self.queries, self.furthest, answers, strict=False):
            hits += int((self._distances(query, self.base[list(rows[:K])]) <= furthest * (1 + _SLACK) + 1e-6).sum())
        return hits / max(1, K * len(answers))

    def _distances(self, query: Float32Array, rows: Float32Array) -> Float32Array:
        if self.metric is Metric.EUCLIDEAN:
            return np.asarray(((rows - query) ** 2).sum(axis=1))
        return np.asarray(1 - rows @ query)


def in_parts(rows: Float32Array, rows_a_part: int) -> list[Float32Array]:
    """Return as many parts of so many rows as there are; what is left over is left out."""
    return [rows[begin : begin + rows_a_part] for begin in range(0, len(rows) - rows_a_part + 1, rows_a_part)]


def add_vector_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what vectors to measure with."""
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="JPEG files to describe (default: made ones)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep their descriptors there for the next time")


def descriptor_set(options: argparse.Namespace, count: int, queries: int) -> VectorSet:
    """Return SIFT descriptors, 128 numbers of 0 to 255 each, compared by Euclidean distance."""
    rows = descriptors.sift_descriptors(options.pictures, count + queries, options.cache).astype(np.float32)
    origin = f"SIFT of the pictures in {options.pictures.name}" if options.pictures else "SIFT of made pictures"
    return VectorSet("SIFT", origin, Metric.EUCLIDEAN, rows[queries:], rows[:queries])


def image_set(archive: Path | None, count: int, queries: int) -> VectorSet:
    """Return vectors of whole pictures, 512 numbers each, compared by cosine. No view of a query's picture is in the
    base."""
    total = count + queries
    rows = image_vectors.picture_vectors(archive, total) if archive else image_vectors.clustered_vectors(total)
    origin = "HOG and colours of CIFAR pictures, PCA" if archive else "made clusters"
    return VectorSet("images", origin, Metric.COSINE, rows[queries:], rows[:queries])
