"""SIFT as one vector a picture: a bag of visual words, and VLAD. Needs a codebook, fitted on the collection.

Bag of words with tf-idf: J. Sivic and A. Zisserman, Video Google, ICCV 2003. VLAD: H. Jégou et al., Aggregating local
image descriptors into compact codes, PAMI 2012; intra-normalisation: R. Arandjelović and A. Zisserman, All about VLAD,
CVPR 2013; power normalisation: F. Perronnin et al., Improving the Fisher kernel, ECCV 2010.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from pixvec.vision.codebook import Codebook, Descriptors, fit_codebook, load_codebook
from pixvec.vision.digest import model_digest
from pixvec.vision.extractor import Vectors
from pixvec.vision.local_features import DIM, RootSift
from pixvec.vision.normalise import unit_rows
from pixvec.vision.preprocess import Fit, Pixels, Preprocess
from pixvec.vision.weights import WeightFile

_Array = npt.NDArray[np.float32]

_VERSION = 1
_FEATURES = 1000
# The whole picture, unbent: what a crop shows must be in the original's vector, wherever it was.
PREPROCESS = Preprocess(480, 480, Fit.PAD)


class SiftWords:
    """An Extractor: how often a picture shows each word of the codebook, weighted by how telling that is."""

    def __init__(self, name: str, file: WeightFile) -> None:
        self.name = name
        self.preprocess = PREPROCESS
        self._codebook = load_codebook(file, DIM)
        self._sift = RootSift(_FEATURES)
        self.digest = model_digest("sift-bow", _VERSION, file.sha256, PREPROCESS, "square root, tf-idf, L2")
        self.dim = self._codebook.words

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, words) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels."""
        counts = np.zeros((len(pixels), self.dim))
        for row, picture in enumerate(pixels):
            words = self._codebook.assign(self._sift.describe(picture))
            counts[row] = np.bincount(words, minlength=self.dim)
        return unit_rows(np.sqrt(counts) * self._codebook.idf)


class SiftVlad:
    """An Extractor: what each word's descriptors differ in from the word, summed."""

    def __init__(self, name: str, file: WeightFile) -> None:
        self.name = name
        self.preprocess = PREPROCESS
        self._codebook = load_codebook(file, DIM)
        self._sift = RootSift(_FEATURES)
        self.digest = model_digest("sift-vlad", _VERSION, file.sha256, PREPROCESS, "intra-normalisation, power 0.5, L2")
        self.dim = self._codebook.words * DIM

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, words x 128) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels."""
        sums = np.zeros((len(pixels), self.dim), np.float32)
        for row, picture in enumerate(pixels):
            sums[row] = vlad(self._sift.describe(picture), self._codebook).ravel()
        return unit_rows(np.sign(sums) * np.sqrt(np.abs(sums)))


def vlad(descriptors: Descriptors, codebook: Codebook) -> _Array:
    """Return (words, dim) float32: each word's summed residuals, of length one, or zero where it has none."""
    words = codebook.assign(descriptors)
    # (words, n), 1 where the descriptor is of the word: a product with it sums many times faster than an addition each.
    members = (words == np.arange(codebook.words)[:, np.newaxis]).astype(np.float32)
    sums: _Array = members @ (descriptors - codebook.centroids[words])
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    np.divide(sums, lengths, out=sums, where=lengths > 0)
    return sums


def fit_sift_codebook(pictures: Iterable[Pixels], words: int, *, seed: int = 0) -> Codebook:
    """Return a codebook of the RootSIFT descriptors of (h, w, 3) uint8 RGB pictures, taken as `PREPROCESS` gives them.

    Raises FailedPrecondition where there are no pictures, or too few descriptors in them.
    """
    return fit_codebook(_described(pictures), words, seed=seed)


def _described(pictures: Iterable[Pixels]) -> Iterator[Descriptors]:
    sift = RootSift(_FEATURES)
    for picture in pictures:
        yield sift.describe(picture)
