"""What a loaded model is: pixels in, vectors out, and with some texts in too."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pixvec.errors import NoTextTower
from pixvec.vision.preprocess import Pixels, Preprocess

Vectors = npt.NDArray[np.float32]


@runtime_checkable
class Extractor(Protocol):
    """A loaded model. `digest` identifies all that moves its vectors: 64 hexadecimal digits."""

    @property
    def name(self) -> str:
        """The name it was loaded by, in its canonical form."""
        ...

    @property
    def dim(self) -> int:
        """The length of its vectors."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """The pixels it takes."""
        ...

    @property
    def digest(self) -> str:
        """What made its vectors."""
        ...

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, dim) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels. n may be 0."""
        ...


@runtime_checkable
class TextExtractor(Extractor, Protocol):
    """A loaded model whose pictures and texts share one space, and one digest."""

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by to be logits, as the model was trained."""
        ...

    @property
    def logit_bias(self) -> float | None:
        """What is added to logits that stand each for itself (SigLIP); None where classes share them out (CLIP)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (n, dim) float32, L2-normalised, in the space of the pictures' vectors. n may be 0. Thread-safe."""
        ...


def text_tower(model: Extractor) -> TextExtractor:
    """Return the same model as one that takes texts. Raises NoTextTower where it takes pictures only."""
    if isinstance(model, TextExtractor):
        return model
    raise NoTextTower(
        f"{model.name} makes vectors of pictures only: search by text in a space whose model is open_clip:NAME",
        field="text",
    )
