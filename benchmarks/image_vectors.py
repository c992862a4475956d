"""Vectors of 512 numbers of whole pictures: of CIFAR's, or clustered ones made here."""

import io
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixvec.index.library import load_faiss

Float32Array = npt.NDArray[np.float32]

DIM = 512
# Views of each picture: (top, left, mirrored), 28 pixels a side.
_VIEWS = ((2, 2, False), (2, 2, True), (0, 0, False), (4, 4, True), (0, 4, False))
_SIDE, _CELL, _BINS = 28, 4, 9
_PICTURES_AT_ONCE = 2_000
_CLUSTERS = 2_000


def picture_vectors(archive: Path, count: int) -> Float32Array:
    """Return (count, 512), unit length: gradient histograms (HOG: N. Dalal and B. Triggs, 2005) and mean colours of
    4×4 cells, of five views of each picture of a CIFAR archive, reduced by PCA. A picture's views are neighbours."""
    per_picture = len(_VIEWS)
    pictures = _read(archive, -(-count // per_picture))
    features = np.concatenate(
        [_features(pictures[begin : begin + _PICTURES_AT_ONCE]) for begin in range(0, len(pictures), _PICTURES_AT_ONCE)]
    )
    if len(features) < count:
        raise SystemExit(f"{archive} gives {len(features)} vectors, {count} are wanted.")
    reduction = load_faiss().PCAMatrix(features.shape[1], DIM)
    reduction.train(features[:: max(1, len(features) // 50_000)])
    return normalised(reduction.apply(features[:count]))


def clustered_vectors(count: int) -> Float32Array:
    """Return (count, 512), unit length: clusters of clusters, whose extent falls from dimension to dimension as that of
    the principal components of real features does."""
    rng = np.random.default_rng(0)
    extent = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)
    centres = rng.standard_normal((_CLUSTERS, DIM), np.float32)
    centres += centres[rng.integers(_CLUSTERS // 20, size=_CLUSTERS)]
    rows = rng.standard_normal((count, DIM), np.float32)
    rows *= 0.7
    rows += centres[rng.integers(_CLUSTERS, size=count)]
    return normalised(rows * extent)


def normalised(rows: Float32Array) -> Float32Array:
    """Return rows of length one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Float32Array = (rows / np.maximum(lengths, 1e-12)).astype(np.float32, copy=False)
    return scaled


def _read(archive: Path, count: int) -> npt.NDArray[np.uint8]:
    """Return up to `count` pictures, (n, 32, 32, 3), of all classes."""
    with tarfile.open(archive) as tar:
        files = [member for member in tar.getmembers() if member.isfile()]
        chosen = np.random.default_rng(0).permutation(len(files))[:count]
        # In their order: going back means unpacking from the start.
        pictures = np.stack([_picture(tar, files[place]) for place in sorted(chosen.tolist())])
    return pictures[np.argsort(np.argsort(chosen))]


def _picture(tar: tarfile.TarFile, member: tarfile.TarInfo) -> npt.NDArray[np.uint8]:
    file = tar.extractfile(member)
    return np.asarray(Image.open(io.BytesIO(file.read() if file else b"")).convert("RGB"))


def _features(pictures: npt.NDArray[np.uint8]) -> Float32Array:
    """Return the features of every view, (4n, f)."""
    views = [_view(pictures, *view) for view in _VIEWS]
    found = np.stack([np.concatenate([_gradients(view), _colours(view)], axis=1) for view in views], axis=1)
    return found.reshape(-1, found.shape[-1])


def _view(pictures: npt.NDArray[np.uint8], top: int, left: int, mirrored: bool) -> Float32Array:
    cut: Float32Array = pictures[:, top : top + _SIDE, left : left + _SIDE].astype(np.float32) / np.float32(255)
    return cut[:, :, ::-1] if mirrored else cut


def _gradients(view: Float32Array) -> Float32Array:
    grey = view.mean(axis=-1)
    dy, dx = np.gradient(grey, axis=(1, 2))
    strength, angle = np.hypot(dy, dx), np.arctan2(dy, dx) % np.pi
    number = np.minimum((angle * (_BINS / np.pi)).astype(np.int8), _BINS - 1)
    cells = np.stack([_in_cells(strength * (number == each)) for each in range(_BINS)], axis=-1)
    cells /= np.linalg.norm(cells, axis=-1, keepdims=True) + 0.05
    found: Float32Array = cells.reshape(len(view), -1)
    return found


def _colours(view: Float32Array) -> Float32Array:
    cells = np.stack([_in_cells(view[..., each]) for each in range(3)], axis=-1)
    found: Float32Array = cells.reshape(len(view), -1)
    return found


def _in_cells(plane: Float32Array) -> Float32Array:
    cells = _SIDE // _CELL
    mean: Float32Array = plane.reshape(-1, cells, _CELL, cells, _CELL).mean(axis=(2, 4), dtype=np.float32)
    return mean
