"""A codebook of local descriptors: visual words, fitted by k-means on a sample of a collection's pictures.

J. Sivic and A. Zisserman, Video Google: a text retrieval approach to object matching in videos, ICCV 2003. The k-means
is FAISS's. Fitting imports it; using a codebook does not.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pixvec.errors import FailedPrecondition, InvalidRequest, WeightsUnavailable
from pixvec.vision import fitted_file
from pixvec.vision.weights import WeightFile

Descriptors = npt.NDArray[np.float32]
# Descriptors, the lots that they drew, and the pictures that they are of.
_Part: TypeAlias = tuple[Descriptors, npt.NDArray[np.float64], npt.NDArray[np.int64]]

KIND = "codebook-1"
# What FAISS's k-means takes at most, and warns of having at least, for each word.
_MOST_PER_WORD, _LEAST_PER_WORD = 256, 39
_ITERATIONS = 25
# A sample for many words has too many descriptors to compare all of them with all words at once.
_ASSIGNED_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Codebook:
    """`centroids`: (words, dim). `idf`: (words,), greater for words that fewer pictures show."""

    centroids: Descriptors
    idf: Descriptors

    @property
    def words(self) -> int:
        """How many words there are."""
        return len(self.centroids)

    def assign(self, descriptors: Descriptors) -> npt.NDArray[np.intp]:
        """Return the nearest word of each of (n, dim) descriptors."""
        # The descriptor's own length is the same for all words.
        offsets = 0.5 * np.square(self.centroids).sum(axis=1)
        nearest = np.empty(len(descriptors), np.intp)
        for start in range(0, len(descriptors), _ASSIGNED_AT_ONCE):
            part = slice(start, start + _ASSIGNED_AT_ONCE)
            nearest[part] = (descriptors[part] @ self.centroids.T - offsets).argmax(axis=1)
        return nearest


def fit_codebook(per_picture: Iterable[Descriptors], words: int, *, seed: int = 0) -> Codebook:
    """Return a codebook fitted on each picture's (n, dim) descriptors; n may be 0. Takes at most 256 descriptors a
    word, drawn evenly from all that come, whose number need not be known.

    Raises InvalidRequest for fewer than two words, FailedPrecondition where there are too few descriptors.
    """
    if words < 2:
        raise InvalidRequest(f"a codebook has at least 2 words, not {words}", field="words")
    pictures, sample, owners = _sample(per_picture, _MOST_PER_WORD * words, np.random.default_rng(seed))
    if not pictures:
        raise FailedPrecondition("a codebook cannot be fitted on an empty collection: ingest pictures first")
    if len(sample) < _LEAST_PER_WORD * words:
        raise FailedPrecondition(
            f"{pictures} pictures gave {len(sample)} local descriptors, {words} words take {_LEAST_PER_WORD * words} "
            f"at least: ingest more pictures, or ask for {max(2, len(sample) // _LEAST_PER_WORD)} words"
        )
    centroids = _kmeans(sample, words, seed)
    assigned = Codebook(centroids, np.ones(words, np.float32)).assign(sample)
    return Codebook(centroids, _idf(assigned, owners, pictures, words))


def save_codebook(codebook: Codebook, folder: Path, name: str) -> Path:
    """Write the codebook as `NAME-HASH.safetensors` and return its path."""
    return fitted_file.write(folder, name, KIND, {"centroids": codebook.centroids, "idf": codebook.idf})


def load_codebook(file: WeightFile, dim: int) -> Codebook:
    """Return the codebook. Raises WeightsUnavailable where the file is none, or of descriptors of another length."""
    arrays = fitted_file.read(file.path, KIND, {"centroids": 2, "idf": 1})
    codebook = Codebook(arrays["centroids"], arrays["idf"])
    if codebook.centroids.shape[1] != dim or codebook.idf.shape != (codebook.words,):
        raise WeightsUnavailable(
            f"{file.path} is a codebook of {' x '.join(map(str, codebook.centroids.shape))} with {codebook.idf.size} "
            f"weights, not of words of {dim} with a weight each: fit it again"
        )
    return codebook


def _sample(
    per_picture: Iterable[Descriptors], most: int, rng: np.random.Generator
) -> tuple[int, Descriptors, npt.NDArray[np.int64]]:
    """Return the number of pictures, a sample of their descriptors, and which picture each is of.

    Every descriptor draws a lot, and the lowest ones stay: a uniform sample, in one pass.
    """
    pictures, rows = 0, 0
    parts: list[_Part] = []
    for descriptors in per_picture:
        if len(descriptors):
            parts.append((descriptors, rng.random(len(descriptors)), np.full(len(descriptors), pictures)))
            rows += len(descriptors)
        pictures += 1
        # Seldom: each time costs a copy of all.
        if rows > 2 * most:
            parts, rows = [_lowest(most, *_joined(parts))], most
    return pictures, *_lowest(most, *_joined(parts))[::2]


def _joined(parts: Sequence[_Part]) -> _Part:
    if not parts:
        return np.zeros((0, 0), np.float32), np.zeros(0), np.zeros(0, np.int64)
    kept, lots, owners = zip(*parts, strict=True)
    return np.concatenate(kept), np.concatenate(lots), np.concatenate(owners)


def _lowest(most: int, kept: Descriptors, lots: npt.NDArray[np.float64], owners: npt.NDArray[np.int64]) -> _Part:
    if len(kept) <= most:
        return kept, lots, owners
    rows = np.sort(np.argpartition(lots, most)[:most])
    return kept[rows], lots[rows], owners[rows]


def _kmeans(sample: Descriptors, words: int, seed: int) -> Descriptors:
    # Here: a worker that fits nothing does not pay for it.
    import faiss

    kmeans = faiss.Kmeans(
        sample.shape[1], words, niter=_ITERATIONS, seed=seed + 1, max_points_per_centroid=_MOST_PER_WORD, gpu=False
    )
    kmeans.train(np.ascontiguousarray(sample))
    return np.array(kmeans.centroids, np.float32).reshape(words, -1)


def _idf(assigned: npt.NDArray[np.intp], owners: npt.NDArray[np.int64], pictures: int, words: int) -> Descriptors:
    shown = np.unique(np.stack((owners, assigned)), axis=1)
    showing = np.bincount(shown[1], minlength=words)
    # Smoothed: a word that all pictures show still tells a little.
    idf: Descriptors = (np.log((1 + pictures) / (1 + showing)) + 1 / math.log(2 + pictures)).astype(np.float32)
    return idf
