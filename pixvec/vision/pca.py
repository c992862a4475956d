"""Principal components of a space's vectors: fitted on a sample, stored in a file, applied with or without whitening.

H. Jégou and O. Chum, Negative evidences and co-occurrences in image retrieval: the benefit of PCA and whitening,
ECCV 2012.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pixvec.errors import FailedPrecondition, InvalidRequest, WeightsUnavailable
from pixvec.vision import fitted_file
from pixvec.vision.extractor import Vectors
from pixvec.vision.normalise import unit_rows
from pixvec.vision.weights import WeightFile

_Array = npt.NDArray[np.float64]

KIND = "pca-1"
# Beyond what decides the components; 20,000 vectors of 2,048 are 160 MB.
_MOST_VECTORS = 20_000
# As they are centred, in double precision: fewer vectors where they are long.
_MOST_BYTES = 2**30
# Components of less than this share of the first one's variance are noise of rounding, not to be blown up.
_LEAST_SHARE = 1e-7


@dataclass(frozen=True, slots=True)
class Pca:
    """`mean`: (dim,). `components`: (kept, dim), orthonormal, by falling variance. `variances`: (kept,)."""

    mean: Vectors
    components: Vectors
    variances: Vectors

    def apply(self, vectors: Vectors, *, whiten: bool) -> Vectors:
        """Return (n, kept) float32, L2-normalised, of (n, dim)."""
        projected = (vectors - self.mean) @ self.components.T
        if whiten:
            projected = projected / np.sqrt(np.maximum(self.variances, _LEAST_SHARE * self.variances[0]))
        return unit_rows(projected)

    def first(self, dim: int) -> "Pca":
        """Return the same with its first `dim` components only."""
        return Pca(self.mean, self.components[:dim], self.variances[:dim])


def fit_pca(batches: Iterable[Vectors], dim: int, *, seed: int = 0) -> Pca:
    """Return the first `dim` components of all (n, d) vectors that come, or of 20,000 of them, drawn evenly; of fewer
    where they are so long that those would be more than 1 GiB.

    Raises InvalidRequest for more components than the vectors have, FailedPrecondition where there are too few vectors
    or too many components for that bound.
    """
    sample = _sample(batches, np.random.default_rng(seed))
    if not len(sample):
        raise FailedPrecondition("a PCA cannot be fitted on an empty collection: ingest pictures first")
    if not 1 <= dim <= sample.shape[1]:
        raise InvalidRequest(
            f"vectors of {sample.shape[1]} have 1 to {sample.shape[1]} components, not {dim}", field="dim"
        )
    if dim >= _most(sample):
        raise FailedPrecondition(
            f"{dim} components of vectors of {sample.shape[1]} take more memory than a worker may: ask for fewer than "
            f"{_most(sample)}, or take a model of shorter vectors"
        )
    if len(sample) <= dim:
        raise FailedPrecondition(
            f"{len(sample)} vectors have no {dim} components: ingest more pictures, or ask for fewer"
        )
    mean = sample.mean(axis=0, dtype=np.float64)
    variances, components = _components(sample - mean, dim)
    return Pca(mean.astype(np.float32), components.astype(np.float32), variances.astype(np.float32))


def save_pca(pca: Pca, folder: Path, name: str) -> Path:
    """Write the components as `NAME-HASH.safetensors` and return its path."""
    arrays = {"mean": pca.mean, "components": pca.components, "variances": pca.variances}
    return fitted_file.write(folder, name, KIND, arrays)


def load_pca(file: WeightFile) -> Pca:
    """Return the components. Raises WeightsUnavailable where the file holds none, or their shapes do not fit."""
    arrays = fitted_file.read(file.path, KIND, {"mean": 1, "components": 2, "variances": 1})
    pca = Pca(arrays["mean"], arrays["components"], arrays["variances"])
    if pca.components.shape != (pca.variances.size, pca.mean.size):
        raise WeightsUnavailable(
            f"{file.path} is no fitted PCA: components of {' x '.join(map(str, pca.components.shape))} with "
            f"{pca.variances.size} variances and a mean of {pca.mean.size}"
        )
    return pca


def _sample(batches: Iterable[Vectors], rng: np.random.Generator) -> Vectors:
    parts: list[tuple[Vectors, _Array]] = []
    rows = 0
    for batch in batches:
        if len(batch):
            parts.append((batch, rng.random(len(batch))))
            rows += len(batch)
        # Seldom: each time costs a copy of all.
        if rows > 2 * _most(batch):
            parts, rows = [_lowest(parts)], _most(batch)
    return _lowest(parts)[0] if parts else np.zeros((0, 0), np.float32)


def _lowest(parts: Sequence[tuple[Vectors, _Array]]) -> tuple[Vectors, _Array]:
    """Return the vectors that drew the lowest lots, in their order, and those."""
    kept, lots = (np.concatenate(each) for each in zip(*parts, strict=True))
    most = _most(kept)
    if len(kept) <= most:
        return kept, lots
    rows = np.sort(np.argpartition(lots, most)[:most])
    return kept[rows], lots[rows]


def _most(vectors: Vectors) -> int:
    """Return how many vectors of this length are sampled."""
    dim: int = vectors.shape[1]
    return min(_MOST_VECTORS, max(1, _MOST_BYTES // (8 * max(1, dim))))


def _components(centred: _Array, dim: int) -> tuple[_Array, _Array]:
    """Return (dim,) variances and (dim, d) components: of the smaller of the two products, which share their values."""
    rows, columns = centred.shape
    if rows >= columns:
        values, vectors = np.linalg.eigh(centred.T @ centred / rows)
        return np.maximum(values[::-1][:dim], 0), vectors.T[::-1][:dim]
    values, vectors = np.linalg.eigh(centred @ centred.T / rows)
    values, vectors = np.maximum(values[::-1][:dim], 0), vectors[:, ::-1][:, :dim]
    components = vectors.T @ centred
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    return values, np.divide(components, lengths, out=np.zeros_like(components), where=lengths > 0)
