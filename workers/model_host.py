"""Loaded models, by name."""

import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pixvec.domain import FittedKind
from pixvec.errors import DigestMismatch
from pixvec.vision.detectors import describe_detectors, load_detector
from pixvec.vision.extractor import Extractor
from pixvec.vision.model_name import has_fitted
from pixvec.vision.region_extractor import region_extractor
from pixvec.vision.registry import ModelInfo, canonical, describe, load, resolve_auto
from pixvec.vision.weights import WeightSource
from workers.fitted_models import try_out
from workers.region_models import RegionModels

AUTO = "auto"
# Loading may take minutes, when weights have to be fetched first.
_LOADS_AT_ONCE = 4


class ModelHost:
    """Loads each model once, in threads of its own, and keeps it. Thread-safe; one model waits for no other. `regions`
    does the same for what fills spaces of regions."""

    def __init__(self, weights: WeightSource) -> None:
        self._weights = weights
        self._models: dict[str, Extractor] = {}
        self._loading: dict[str, Future[Extractor]] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="models")
        self.regions = RegionModels(lambda name: load_detector(name, weights), self._current, region_extractor)

    def find(self, name: str, digest: str = "") -> Extractor | None:
        """Return the model if it is loaded: waits for nothing. A fitted one of another digest is let go: another file
        may have been given its name."""
        found = self._models.get(name)
        if found is not None and digest and found.digest != digest and has_fitted(name):
            self._let_go(name)
            return None
        return found

    def begin(self, name: str) -> "Future[Extractor]":
        """Load the model, or join whoever does. The future raises ModelNotFound and WeightsUnavailable; the next call
        then tries again."""
        with self._lock:
            if name not in self._loading and name not in self._models:
                self._loading[name] = self._threads.submit(self._load, name)
            return self._loading.get(name) or _ended(self._models[name])

    def get(self, name: str, digest: str = "") -> Extractor:
        """Return the model once it is loaded. Raises as `begin` and `check_digest` do."""
        extractor = self.find(name, digest) or self.begin(name).result()
        check_digest(extractor, digest)
        return extractor

    def choose(self, name: str) -> tuple[str, str]:
        """Return a model's name in its canonical form and, for `auto`, why it was taken. May fetch weights. Raises
        InvalidRequest where the name cannot be understood."""
        if name == AUTO:
            return resolve_auto(self._weights)
        chosen = canonical(name)
        if has_fitted(chosen):
            # Whoever asks is about to begin something with it: with the file that has the name now.
            self._let_go(chosen)
        return chosen, ""

    def describe(self) -> list[ModelInfo]:
        """Return what there is, detectors too."""
        return describe(self._weights) + describe_detectors(self._weights)

    def try_fitted(self, kind: FittedKind, name: str, base_model: str, content: bytes) -> Extractor:
        """Return the model that a fitted file makes which nobody has registered yet; it is not kept. Raises
        InvalidRequest and WeightsUnavailable for what is no such file, or does not go with the base model."""
        base = canonical(base_model) if base_model else ""
        with tempfile.TemporaryDirectory(prefix="pixvec-fitted-") as folder:
            path = Path(folder) / "tried.safetensors"
            path.write_bytes(content)
            return try_out(self._weights, kind, name, base, path)

    def _current(self, name: str) -> Extractor:
        return self.get(self.choose(name)[0])

    def _let_go(self, name: str) -> None:
        with self._lock:
            self._models.pop(name, None)

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
