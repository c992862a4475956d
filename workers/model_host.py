"""Loaded models, by name."""

import threading

from pixvec.errors import DigestMismatch
from pixvec.vision.registry import Extractor, ModelInfo, describe, load, resolve_auto
from pixvec.vision.weights import WeightSource

AUTO = "auto"


class ModelHost:
    """Loads each model once and keeps it. Thread-safe; loads one at a time."""

    def __init__(self, weights: WeightSource) -> None:
        self._weights = weights
        self._models: dict[str, Extractor] = {}
        self._lock = threading.Lock()

    def get(self, name: str, digest: str = "") -> Extractor:
        """Return the model. Raises ModelNotFound, WeightsUnavailable, and DigestMismatch if it is not the one meant."""
        extractor = self._models.get(name) or self._load(name)
        if digest and extractor.digest != digest:
            raise DigestMismatch(
                f"model {name} here has digest {extractor.digest}, the collection was made with {digest}: start the"
                f" worker with the weights the collection was made with, or make a new collection"
            )
        return extractor

    def resolve(self, name: str) -> tuple[Extractor, str]:
        """Return the model and, for `auto`, why it was taken."""
        if name != AUTO:
            return self.get(name), ""
        chosen, reason = resolve_auto(self._weights)
        return self.get(chosen), reason

    def describe(self) -> list[ModelInfo]:
        """Return what there is."""
        return describe(self._weights)

    def _load(self, name: str) -> Extractor:
        with self._lock:
            if name not in self._models:
                self._models[name] = load(name, self._weights)
            return self._models[name]
