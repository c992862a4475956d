"""The embedder without a worker: its twin in memory."""

import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pixvec.domain import Box, FittedKind, ItemError, Model, ModelKind, Region, RegionEmbedding, RegionSettings, Space
from pixvec.errors import (
    BoxOutside,
    DigestMismatch,
    ModelNotFound,
    NoTextTower,
    PictureEmpty,
    PictureNotRecognised,
    WeightsUnavailable,
)
from pixvec.rpc.embedder_client import (
    Classified,
    DetectedRegions,
    Embeddings,
    FoundRegions,
    LabelTexts,
    ResolvedModel,
    TextEmbeddings,
    settings_of,
)


class MemoryEmbedder:
    """Stands in for a worker: equal bytes give equal vectors, and `b"bad"` at the start makes a picture no picture.
    A text is as its UTF-8 bytes. A picture is of a class by the cosine of its vector with that of the label alone.

    Its detectors see an object in each word of a picture, 8 x 8 pixels each with 2 between them: its class is the word,
    and its vector that of the word alone.

    `models` and `detectors` map names to what they resolve to; `auto` takes the first model.
    """

    def __init__(
        self,
        models: Mapping[str, ResolvedModel] | None = None,
        *,
        embed: Callable[[bytes, int], bytes] | None = None,
        detectors: Mapping[str, ResolvedModel] | None = None,
    ) -> None:
        self.models = dict(models or {"fake": ResolvedModel("fake", 8, "ab" * 32)})
        self.detectors = dict(detectors or {"words": ResolvedModel("words", 8, "cd" * 32)})
        self.calls: list[str] = []
        self._embed = embed or vector_from_bytes

    async def embed_images(
        self,
        model: str,
        digest: str,
        images: Sequence[bytes],
        timeout_s: float,  # noqa: ARG002
        boxes: Sequence[Box] = (),
    ) -> Embeddings:
        """See EmbedderClient. A picture cut to a box is the words that the box touches."""
        self.calls.append("embed_images")
        known = self._checked(model, digest)
        if not boxes:
            return Embeddings(tuple(self._result(image, known.dim) for image in images))
        return Embeddings(tuple(self._part(*each, known.dim) for each in zip(images, boxes, strict=True)))

    async def embed_texts(
        self,
        model: str,
        digest: str,
        texts: Sequence[str],
        timeout_s: float,  # noqa: ARG002
    ) -> TextEmbeddings:
        """See EmbedderClient."""
        self.calls.append("embed_texts")
        known = self._reading(model, digest)
        return TextEmbeddings(tuple(self._embed(text.encode(), known.dim) for text in texts))

    async def classify_images(
        self, model: str, digest: str, classes: LabelTexts, images: Sequence[bytes], timeout_s: float
    ) -> Classified:
        """See EmbedderClient."""
        self._reading(model, digest)
        vectors = (await self.embed_images(model, digest, images, timeout_s)).results
        pictures = [vector for vector in vectors if isinstance(vector, bytes)]
        left = iter((await self.classify_vectors(model, digest, classes, pictures, timeout_s)).results)
        return Classified(tuple(each if isinstance(each, ItemError) else next(left) for each in vectors))

    async def classify_vectors(
        self,
        model: str,
        digest: str,
        classes: LabelTexts,
        vectors: Sequence[bytes],
        timeout_s: float,  # noqa: ARG002
    ) -> Classified:
        """See EmbedderClient."""
        self.calls.append("classify_vectors")
        known = self._reading(model, digest)
        labels = [self._embed(label.encode(), known.dim) for label in classes.labels]
        return Classified(tuple(_shares([_cosine(vector, label) for label in labels]) for vector in vectors))

    async def detect_regions(
        self,
        space: Space,
        image_model: str,
        images: Sequence[bytes],
        timeout_s: float,  # noqa: ARG002
        boxes: Sequence[Box] = (),
    ) -> DetectedRegions:
        """See EmbedderClient."""
        self.calls.append("detect_regions")
        settings = settings_of(space)
        known = self._detector(settings, image_model)
        if space.digest and space.digest != known.digest:
            raise DigestMismatch(f"{known.model} has digest {known.digest}, asked for {space.digest}")
        drawn: Sequence[Box | None] = boxes or [None] * len(images)
        found = zip(images, drawn, strict=True)
        return DetectedRegions(tuple(self._regions(image, box, settings, known.dim) for image, box in found))

    async def resolve_regions(
        self,
        settings: RegionSettings,
        image_model: str,
        timeout_s: float,  # noqa: ARG002
    ) -> ResolvedModel:
        """See EmbedderClient."""
        self.calls.append("resolve_regions")
        return self._detector(settings, image_model)

    async def resolve_model(self, model: str, timeout_s: float) -> ResolvedModel:  # noqa: ARG002
        """See EmbedderClient."""
        self.calls.append("resolve_model")
        if model == "auto":
            best = next(iter(self.models.values()))
            return ResolvedModel(
                best.model, best.dim, best.digest, f"{best.model}: the first there is", best.takes_text
            )
        return self._find(model)

    async def list_models(self, timeout_s: float) -> list[Model]:  # noqa: ARG002
        """See EmbedderClient: models and detectors, each needing no weights."""
        self.calls.append("list_models")
        models = [
            Model(each.model, ModelKind.HANDCRAFTED, each.dim, "stands in", takes_text=each.takes_text)
            for each in self.models.values()
        ]
        detectors = [Model(each.model, ModelKind.DETECTOR, each.dim, "stands in") for each in self.detectors.values()]
        return models + detectors

    async def try_fitted(
        self,
        kind: FittedKind,
        name: str,
        base_model: str,
        content: bytes,
        timeout_s: float,  # noqa: ARG002
    ) -> ResolvedModel:
        """See EmbedderClient: a file that begins with `b"bad"` is none, any other one makes vectors of 8 numbers."""
        self.calls.append("try_fitted")
        base = self._find(base_model).model if base_model else ""
        if content.startswith(b"bad"):
            raise WeightsUnavailable("the file cannot be read as safetensors: fit it again")
        return ResolvedModel(kind.model(name, base), 8, hashlib.sha256(content).hexdigest())

    async def render_thumbnail(self, image: bytes, max_side: int, timeout_s: float) -> bytes:  # noqa: ARG002
        """See EmbedderClient. The thumbnail names its side and its source."""
        self.calls.append("render_thumbnail")
        if image.startswith(b"bad"):
            raise PictureNotRecognised("no known image format")
        return b"thumbnail %d of " % max_side + image

    async def close(self) -> None:
        """Nothing is held."""

    def _find(self, model: str) -> ResolvedModel:
        if model not in self.models:
            raise ModelNotFound(f"no model {model!r}; there are {', '.join(self.models)}", field="model")
        return self.models[model]

    def _detector(self, settings: RegionSettings, image_model: str) -> ResolvedModel:
        known = self.detectors.get(settings.detector)
        if known is None:
            there = ", ".join(self.detectors)
            raise ModelNotFound(f"no detector {settings.detector!r}; there are {there}", field="regions.detector")
        dim = known.dim if settings.embedding is RegionEmbedding.ROI else self._find(image_model).dim
        return replace(known, dim=dim)

    def _regions(self, image: bytes, drawn: Box | None, settings: RegionSettings, dim: int) -> FoundRegions | ItemError:
        fault = _fault(image)
        if fault is not None:
            return fault
        words = image.split()
        width = 10 * len(words)
        if drawn is None:
            found = [(Box(10 * n, 0, 10 * n + 8, 8), word, word.decode(), 0.9) for n, word in enumerate(words)]
        else:
            place = int(drawn.x1 // 10)
            if not 0 <= place < len(words):
                return ItemError(BoxOutside.reason, f"the box begins at {drawn.x1:g}, outside the picture")
            found = [(drawn, words[place], "", 1.0)]
        kept = found[: settings.max_regions]
        regions = (Region(n, box, name, score) for n, (box, _, name, score) in enumerate(kept))
        return FoundRegions(tuple(regions), tuple(self._embed(word, dim) for _, word, _, _ in kept), width, 8)

    def _checked(self, model: str, digest: str) -> ResolvedModel:
        known = self._find(model)
        if digest and digest != known.digest:
            raise DigestMismatch(f"{model} has digest {known.digest}, asked for {digest}")
        return known

    def _reading(self, model: str, digest: str) -> ResolvedModel:
        known = self._checked(model, digest)
        if not known.takes_text:
            raise NoTextTower(f"{model} makes vectors of pictures only", field="text")
        return known

    def _part(self, image: bytes, box: Box, dim: int) -> bytes | ItemError:
        words = image.split()
        touched = words[max(0, int(box.x1 // 10)) : max(0, math.ceil(box.x2 / 10))]
        if not touched:
            return ItemError(BoxOutside.reason, f"the box begins at {box.x1:g}, outside the picture")
        return self._result(b" ".join(touched), dim)

    def _result(self, image: bytes, dim: int) -> bytes | ItemError:
        return _fault(image) or self._embed(image, dim)


def vector_from_bytes(content: bytes, dim: int) -> bytes:
    """Return a packed vector of `dim` numbers in [-1, 1) that depends on the bytes alone."""
    words = hashlib.shake_256(content).digest(4 * dim)
    return struct.pack(f"<{dim}f", *(word / 2**31 for word in struct.unpack(f"<{dim}i", words)))


def _fault(image: bytes) -> ItemError | None:
    if not image:
        return ItemError(PictureEmpty.reason, "no bytes")
    if image.startswith(b"bad"):
        return ItemError(PictureNotRecognised.reason, "no known image format")
    return None


def _shares(logits: Sequence[float]) -> tuple[float, ...]:
    exponentials = [math.exp(logit) for logit in logits]
    return tuple(each / sum(exponentials) for each in exponentials)


def _cosine(left: bytes, right: bytes) -> float:
    first, second = (struct.unpack(f"<{len(each) // 4}f", each) for each in (left, right))
    cosine: float = sum(a * b for a, b in zip(first, second, strict=True)) / (math.hypot(*first) * math.hypot(*second))
    return cosine
