"""Every model by name. Importing this, and asking what there is, takes no model library with it."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pixvec.errors import ModelNotFound, WeightsUnavailable
from pixvec.vision import weights as weight_files
from pixvec.vision.preprocess import Pixels, Preprocess
from pixvec.vision.weights import CHECKPOINTS, NotHad, WeightFile, WeightSource

Vectors = npt.NDArray[np.float32]

# Imported on first use, as it imports this module: it registers the models, in the order in which `auto` takes them.
_MODELS_MODULE = "pixvec.vision.models"


class Extractor(Protocol):
    """A loaded model. `digest` identifies all that moves its vectors: 64 hexadecimal digits."""

    @property
    def name(self) -> str:
        """The registered name."""
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


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What there is to know of a model without loading it. `available`: usable now without fetching anything."""

    name: str
    dim: int
    description: str
    available: bool
    detail: str


Loader = Callable[[WeightFile | None], Extractor]


@dataclass(frozen=True, slots=True)
class _Model:
    name: str
    dim: int
    description: str
    load: Loader


_models: dict[str, _Model] = {}


def register(name: str, *, dim: int, description: str) -> Callable[[Loader], Loader]:
    """Make a loader known by name. It is given the model's weights, or None if `CHECKPOINTS` has none of that name."""

    def remember(load: Loader) -> Loader:
        _models[name] = _Model(name, dim, description, load)
        return load

    return remember


def load(name: str, weights: WeightSource) -> Extractor:
    """Return the model, ready. Raises ModelNotFound, or WeightsUnavailable with the remedy."""
    models = _known()
    if name not in models:
        raise ModelNotFound(f"no model {name!r}: there are {', '.join(models)}, and auto", field="model")
    checkpoint = CHECKPOINTS.get(name)
    return models[name].load(None if checkpoint is None else weight_files.obtain(checkpoint, weights))


def describe(weights: WeightSource) -> list[ModelInfo]:
    """Return all models, the best first, with what is here of their weights. Fetches nothing."""
    return [
        ModelInfo(model.name, model.dim, model.description, *_availability(model.name, weights))
        for model in _known().values()
    ]


def resolve_auto(weights: WeightSource) -> tuple[str, str]:
    """Return the best model that can be had now, downloading if allowed, and the reason: what was passed over and why.

    Raises WeightsUnavailable if a file that was named is not there: another model would not be what was asked for.
    """
    passed_over: list[str] = []
    for name in _known():
        checkpoint = CHECKPOINTS.get(name)
        if checkpoint is None:
            return name, _reason(f"{name} needs no weights", passed_over)
        had = weight_files.attempt(checkpoint, weights)
        if not isinstance(had, NotHad):
            return name, _reason(f"{name} is the best model whose weights are here ({had.path})", passed_over)
        passed_over.append(f"{name}: {had.why}")
        if had.offline:
            weights = dataclasses.replace(weights, download=False)
    raise WeightsUnavailable(f"no model can be had ({'; '.join(passed_over)})")


def _reason(choice: str, passed_over: list[str]) -> str:
    return f"{choice}." if not passed_over else f"{choice}; passed over: {'; '.join(passed_over)}."


def _known() -> Mapping[str, _Model]:
    importlib.import_module(_MODELS_MODULE)
    return MappingProxyType(_models)


def _availability(name: str, weights: WeightSource) -> tuple[bool, str]:
    checkpoint = CHECKPOINTS.get(name)
    if checkpoint is None:
        return True, "needs no weights"
    try:
        path = weight_files.find(checkpoint, weights)
    except WeightsUnavailable as error:
        return False, error.message
    if path is not None:
        return True, f"weights: {path}"
    place = weight_files.cache_path(checkpoint)
    remedy = f"put {checkpoint.file_name} at {place}, or start with `pixvec up --weights {name}=FILE`"
    return False, f"its weights will be downloaded on first use; or {remedy}" if weights.download else remedy
