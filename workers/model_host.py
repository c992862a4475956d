"""Loaded models, by name."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from pixvec.errors import DigestMismatch
from pixvec.vision.extractor import Extractor
from pixvec.vision.registry import ModelInfo, canonical, describe, load, resolve_auto
from pixvec.vision.weights import WeightSource

AUTO = "auto"
# Loading may take minutes, when weights have to be fetched first.
_LOADS_AT_ONCE = 4


class ModelHost:
    """Loads each model once, in threads of its own, and keeps it. Thread-safe; one model waits for no other."""

    def __init__(self, weights: WeightSource) -> None:
        self._weights = weights
        self._models: dict[str, Extractor] = {}
        self._loading: dict[str, Future[Extractor]] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="models")

    def find(self, name: str) -> Extractor | None:
        """Return the model if it is loaded: waits for nothing."""
        return self._models.get(name)

    def begin(self, name: str) -> "Future[Extractor]":
        """Load the model, or join whoever does. The future raises ModelNotFound and WeightsUnavailable; the next call
        then tries again."""
        with self._lock:
            if name not in self._loading and name not in self._models:
                self._loading[name] = self._threads.submit(self._load, name)
            return self._loading.get(name) or _ended(self._models[name])

    def get(self, name: str, digest: str = "") -> Extractor:
        """Return the model once it is loaded. Raises as `begin` and `check_digest` do."""
        extractor = self.find(name) or self.begin(name).result()
        check_digest(extractor, digest)
        return extractor

    def choose(self, name: str) -> tuple[str, str]:
        """Return a model's name in its canonical form and, for `auto`, why it was taken. May fetch weights. Raises
        InvalidRequest where the name cannot be understood."""
        return resolve_auto(self._weights) if name == AUTO else (canonical(name), "")

    def describe(self) -> list[ModelInfo]:
        """Return what there is."""
        return describe(self._weights)

    def _load(self, name: str) -> Extractor:
        try:
            extractor = load(name, self._weights)
            self._models[name] = extractor
            return extractor
        finally:
            with self._lock:
                del self._loading[name]


def check_digest(extractor: Extractor, digest: str) -> None:
    """Raise DigestMismatch if it is not the model that is meant; any is where `digest` is empty."""
    if digest and extractor.digest != digest:
        raise DigestMismatch(
            f"model {extractor.name} here has digest {extractor.digest}, the collection was made with {digest}: start"
            f" the worker with the weights the collection was made with, or make a new collection"
        )


def _ended(extractor: Extractor) -> "Future[Extractor]":
    ended: Future[Extractor] = Future()
    ended.set_result(extractor)
    return ended
