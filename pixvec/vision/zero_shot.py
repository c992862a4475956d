"""Classes by their names alone: a picture against the texts that could describe it.

A. Radford et al., Learning transferable visual models from natural language supervision, ICML 2021, section 3.1;
independent probabilities: X. Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pixvec.errors import InvalidRequest
from pixvec.vision.extractor import Vectors
from pixvec.vision.normalise import unit_rows

# Few that say little of the picture beyond the class: as good as the eighty of the paper for most collections.
TEMPLATES = (
    "a photo of a {}.",
    "a picture of a {}.",
    "a close-up photo of a {}.",
    "a photo of many {}.",
    "a photo of the {}.",
)

Probabilities = npt.NDArray[np.float32]


def class_texts(classes: Sequence[str], templates: Sequence[str] = TEMPLATES) -> list[str]:
    """Return the texts of each class, class after class.

    Raises InvalidRequest for no or empty classes, no templates, and templates without exactly one `{}`.
    """
    if not classes or not all(name.strip() for name in classes):
        raise InvalidRequest("name at least one class, and none by an empty text", field="classes")
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong or not templates:
        found = f"{wrong[0]!r} has not" if wrong else "there is none"
        raise InvalidRequest(f"a template has one {{}} where the class goes: {found}", field="templates")
    # Not `format`: braces in a class, or further ones in a template, are text.
    return [template.replace("{}", name.strip()) for name in classes for template in templates]


def class_means(texts: Vectors, classes: int) -> Vectors:
    """Return (classes, dim) float32, L2-normalised, of the vectors of as many texts a class."""
    return unit_rows(texts.reshape(classes, -1, texts.shape[1]).mean(axis=1))


def class_probabilities(
    pictures: Vectors, classes: Vectors, *, logit_scale: float, logit_bias: float | None = None
) -> Probabilities:
    """Return (n, classes) float32, calibrated as the model was trained.

    Without a bias (CLIP) each row sums to 1: the classes are all there is. With one (SigLIP) each class stands for
    itself, and a picture may be of none. `pictures`: (n, dim), `classes`: (classes, dim), both L2-normalised.
    """
    logits = logit_scale * (pictures.astype(np.float64) @ classes.T.astype(np.float64))
    if logit_bias is not None:
        independent: Probabilities = (0.5 * (1 + np.tanh((logits + logit_bias) / 2))).astype(np.float32)
        return independent
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Probabilities = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities
