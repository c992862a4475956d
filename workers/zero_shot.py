"""Classes by their names, as vectors of a model: made through the batcher, and kept while they are asked for."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixvec.errors import InvalidRequest
from pixvec.vision.extractor import TextExtractor, Vectors
from pixvec.vision.zero_shot import TEMPLATES, Probabilities, class_means, class_probabilities, class_texts
from workers.batcher import Batcher

# So many go into the model at once: a query that comes meanwhile waits for no more than these.
_TEXTS_AT_ONCE = 64
# A thousand classes of 1,024 dimensions take 4 MB.
_KEPT = 16

_Key = tuple[str, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Classes:
    """(classes, dim) float32, L2-normalised, and where the time went; none where they were kept."""

    vectors: Vectors
    queue_s: float = 0.0
    inference_s: float = 0.0


class ZeroShot:
    """For an event loop. Who classifies many pictures asks for the same classes again and again."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._kept: OrderedDict[_Key, Vectors] = OrderedDict()

    async def classes(self, model: TextExtractor, labels: Sequence[str], templates: Sequence[str]) -> Classes:
        """Return the vectors of the labels, through the templates or those there are. Raises InvalidRequest as
        `class_texts` does, and Overloaded."""
        key = (model.digest, tuple(labels), tuple(templates) or TEMPLATES)
        if key in self._kept:
            self._kept.move_to_end(key)
            return Classes(self._kept[key])
        made = await self._made(model, class_texts(key[1], key[2]), len(labels))
        self._kept[key] = made.vectors
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return made

    async def _made(self, model: TextExtractor, texts: Sequence[str], classes: int) -> Classes:
        vectors: list[Vectors] = []
        queue_s = inference_s = 0.0
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            some = self._batcher.submit_texts(model, texts[first : first + _TEXTS_AT_ONCE])
            embedded = await asyncio.wrap_future(some)
            vectors.append(embedded.vectors)
            queue_s, inference_s = queue_s + embedded.queue_s, inference_s + embedded.inference_s
        return Classes(class_means(np.concatenate(vectors), classes), queue_s, inference_s)


def stored_vectors(model: TextExtractor, packed: Sequence[bytes]) -> Vectors:
    """Return (n, dim) float32 of packed rows. Raises InvalidRequest for one of another length."""
    if any(len(row) != 4 * model.dim for row in packed):
        raise InvalidRequest(f"a vector of {model.name} has {model.dim} float32 numbers", field="vectors")
    return np.frombuffer(b"".join(packed), "<f4").reshape(len(packed), model.dim)


def probabilities(model: TextExtractor, pictures: Vectors, classes: Vectors) -> Probabilities:
    """Return (n, classes) float32, as `class_probabilities` says, by the scale that the model was trained with."""
    return class_probabilities(pictures, classes, logit_scale=model.logit_scale, logit_bias=model.logit_bias)
