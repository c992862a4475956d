"""What is done with a model's vectors, as a model around the model: copies of the picture averaged, PCA, L2.

All of it is part of the digest: vectors of before and after cannot be compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pixvec.errors import WeightsUnavailable
from pixvec.vision.digest import derived_digest
from pixvec.vision.extractor import Extractor, TextExtractor, Vectors
from pixvec.vision.model_files import weight_file
from pixvec.vision.model_name import ModelName, Projection
from pixvec.vision.normalise import unit_rows
from pixvec.vision.pca import Pca, load_pca
from pixvec.vision.preprocess import Pixels, Preprocess
from pixvec.vision.weights import WeightSource

# How much larger a square is than the crops taken of it: as the published transforms of 224 pixels, of 256.
_AROUND = 8 / 7
# Views in one pass: what a model is given at once by default, so that it takes no more memory than without views.
_MOST_TOGETHER = 32

Project = Callable[[Vectors], Vectors]
Views = Callable[[Pixels], list[Pixels]]


@dataclass(frozen=True, slots=True)
class _Treatment:
    """What is decoded, which views of it the model is given, what becomes of their mean, and all of that as text."""

    preprocess: Preprocess
    views: Views
    project: Project
    dim: int
    steps: Sequence[str]


class PostProcessed:
    """An Extractor around another: the mean of its vectors of several views, projected, of length one."""

    def __init__(self, name: str, base: Extractor, treatment: _Treatment) -> None:
        self.name = name
        self.preprocess = treatment.preprocess
        self.dim = treatment.dim
        self.digest = derived_digest(base.digest, treatment.steps)
        self._base = base
        self._treatment = treatment

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, dim) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels."""
        if not len(pixels):
            return np.zeros((0, self.dim), dtype=np.float32)
        return self._treatment.project(unit_rows(self._sums(self._treatment.views(pixels))))

    def _sums(self, views: Sequence[Pixels]) -> Vectors:
        """Return (n, dim) float32, each picture's vectors summed over its views."""
        pictures = len(views[0])
        if len(views) * pictures <= _MOST_TOGETHER:
            # One pass of few pictures takes less time than several of fewer.
            vectors = self._base.embed(np.concatenate(views)).reshape(len(views), pictures, -1)
            together: Vectors = vectors.sum(axis=0)
            return together
        sums = self._base.embed(views[0])
        for view in views[1:]:
            sums = sums + self._base.embed(view)
        return sums


class PostProcessedText(PostProcessed):
    """The same around a model that takes texts too: they are projected into the pictures' space."""

    def __init__(self, name: str, base: TextExtractor, treatment: _Treatment) -> None:
        super().__init__(name, base, treatment)
        self.logit_scale = base.logit_scale
        self.logit_bias = base.logit_bias
        self._texts = base

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (n, dim) float32, L2-normalised, in the space of the pictures' vectors."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return self._treatment.project(self._texts.embed_texts(texts))


def post_process(base: Extractor, name: ModelName, source: WeightSource) -> Extractor:
    """Return the model with the name's steps around it; itself where there are none.

    Raises WeightsUnavailable where a PCA's file is not to be had, or is of vectors of another length.
    """
    steps = [*(["flip"] if name.flip else []), *(["crops"] if name.crops else [])]
    preprocess, views = _viewing(base.preprocess, flip=name.flip, crops=name.crops)
    project: Project = _same
    dim = base.dim
    if name.projection is not None:
        pca, step = _fitted(name.projection, base, source)
        project, dim = partial(pca.apply, whiten=name.projection.whiten), len(pca.components)
        steps.append(step)
    if not steps:
        return base
    treatment = _Treatment(preprocess, views, project, dim, steps)
    if isinstance(base, TextExtractor):
        return PostProcessedText(str(name), base, treatment)
    return PostProcessed(str(name), base, treatment)


def crops_of(pixels: Pixels, side: int) -> list[Pixels]:
    """Return the four corners and the middle of (n, h, w, 3) pixels, each (n, side, side, 3)."""
    height, width = pixels.shape[1:3]
    down, right = height - side, width - side
    corners = ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2))
    return [pixels[:, top : top + side, left : left + side] for top, left in corners]


def _viewing(taken: Preprocess, *, flip: bool, crops: bool) -> tuple[Preprocess, Views]:
    """Return the pixels to be decoded, and which copies of them the model is given."""
    side = taken.crop
    if crops:
        around = max(taken.resize, round(side * _AROUND))
        taken = Preprocess(around, around, taken.fit, taken.interpolation)

    def views(pixels: Pixels) -> list[Pixels]:
        copies = crops_of(pixels, side) if crops else [pixels]
        return [*copies, *(copy[:, :, ::-1] for copy in copies)] if flip else copies

    return taken, views


def _fitted(projection: Projection, base: Extractor, source: WeightSource) -> tuple[Pca, str]:
    file = weight_file(f"pca:{projection.file}", projection.file, source)
    pca = load_pca(file)
    if pca.mean.size != base.dim:
        raise WeightsUnavailable(
            f"{file.path} was fitted on vectors of {pca.mean.size}, {base.name} makes vectors of {base.dim}: "
            "fit one on this model's"
        )
    kept = projection.dim or len(pca.components)
    if kept > len(pca.components):
        raise WeightsUnavailable(f"{file.path} holds {len(pca.components)} components, not {kept}: ask for fewer")
    return pca.first(kept), f"pca{'w' if projection.whiten else ''} {file.sha256} {kept}"


def _same(vectors: Vectors) -> Vectors:
    return vectors
