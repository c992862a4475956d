"""Every model by name. Importing this, and asking what there is, takes no model library with it.

A name is one that is registered, or one in a family (`timm:NAME`), and may carry steps (`model_name`).
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from pixvec.domain import ModelKind
from pixvec.errors import InvalidRequest, ModelNotFound, WeightsUnavailable
from pixvec.vision import weights as weight_files
from pixvec.vision.extractor import Extractor
from pixvec.vision.model_name import ModelName, PoolingChoice, parse
from pixvec.vision.weights import (
    CHECKPOINTS,
    DETECTOR_CHECKPOINTS,
    DETECTOR_FAMILY,
    Checkpoint,
    NotHad,
    WeightFile,
    WeightSource,
)

# Imported on first use, as it imports this module: it registers the models, in the order in which `auto` takes them.
_MODELS_MODULE = "pixvec.vision.models"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What there is to know of a model without loading it. `available`: usable now without fetching anything.

    `dim` is 0 where only loading tells, `parameters` and `size_bytes` (of the weights) where there are none or only
    loading tells. A name that ends in `NAME` stands for its family. `is_candidate`: `auto` may choose it; `takes_text`:
    it makes vectors of texts too.
    """

    name: str
    dim: int
    description: str
    available: bool
    detail: str
    parameters: int = 0
    size_bytes: int = 0
    source: str = ""
    licence: str = ""
    is_candidate: bool = False
    kind: ModelKind = ModelKind.NETWORK
    takes_text: bool = False


class Family(Protocol):
    """Models that share a prefix and a way of loading."""

    def load(self, name: ModelName, weights: WeightSource) -> Extractor:
        """Return the model of this base, pooled as asked; the name's other steps are not its concern.

        Raises ModelNotFound, InvalidRequest for a pooling it has not, or WeightsUnavailable with the remedy.
        """
        ...

    def describe(self, weights: WeightSource) -> list[ModelInfo]:
        """Return those that files were named for, and what else the family holds as one entry. Fetches nothing."""
        ...


Loader = Callable[[WeightFile | None], Extractor]
PoolingLoader = Callable[[WeightFile | None, PoolingChoice | None], Extractor]


@dataclass(frozen=True, slots=True)
class _Model:
    info: ModelInfo
    load: PoolingLoader


_models: dict[str, _Model] = {}
_families: dict[str, Family] = {}


def register(
    name: str, *, dim: int, description: str, source: str = "pixvec", is_candidate: bool = False
) -> Callable[[Loader], Loader]:
    """Make known by name the loader of a model that has no pooling to choose and no weights."""
    info = ModelInfo(
        name,
        dim,
        description,
        available=True,
        detail="needs no weights",
        source=source,
        licence="Apache-2.0",
        is_candidate=is_candidate,
        kind=ModelKind.HANDCRAFTED,
    )

    def remember(load: Loader) -> Loader:
        def load_unpooled(weights: WeightFile | None, pooling: PoolingChoice | None) -> Extractor:
            if pooling is not None:
                raise InvalidRequest(f"{name} has no pooling to choose: leave +{pooling} out", field="model")
            return load(weights)

        _models[name] = _Model(info, load_unpooled)
        return load

    return remember


def register_network(info: ModelInfo, load: PoolingLoader) -> None:
    """Make known by name a loader that is given the weights that `CHECKPOINTS` has of that name."""
    _models[info.name] = _Model(info, load)


def register_family(prefix: str, family: Family) -> None:
    """Make known the models whose names begin with `prefix` and a colon."""
    _families[prefix] = family


def canonical(name: str) -> str:
    """Return the one text for a model. Raises InvalidRequest where its steps cannot be understood."""
    return str(parse(name))


def load(name: str, weights: WeightSource) -> Extractor:
    """Return the model, ready.

    Raises InvalidRequest where the name cannot be understood, ModelNotFound, or WeightsUnavailable with the remedy.
    """
    parsed = parse(name)
    base = _load_base(parsed, weights)
    # Here, because it takes the fitting of components with it, and few models need it.
    from pixvec.vision.post_processing import post_process

    return post_process(base, parsed, weights)


def describe(weights: WeightSource) -> list[ModelInfo]:
    """Return all models, those that `auto` may take first, the best first, with what is here of their weights.

    Fetches nothing.
    """
    models = _known()
    registered = [_described(model.info, weights) for model in models.values()]
    return registered + [info for family in _families.values() for info in family.describe(weights)]


def resolve_auto(weights: WeightSource) -> tuple[str, str]:
    """Return the best model that can be had now, downloading if allowed, and the reason: what was passed over and why.

    Raises WeightsUnavailable if a file that was named is not there: another model would not be what was asked for.
    """
    passed_over: list[str] = []
    for name in _candidates():
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


def _load_base(name: ModelName, weights: WeightSource) -> Extractor:
    models = _known()
    family, rest = name.family
    if family in _families and rest:
        return _families[family].load(name, weights)
    if name.base in DETECTOR_CHECKPOINTS or family == DETECTOR_FAMILY:
        raise InvalidRequest(
            f"{name.base} finds objects, it makes no vectors of whole pictures: name it as the detector of the"
            " collection's regions",
            field="model",
        )
    if name.base not in models:
        raise ModelNotFound(
            f"no model {name.base!r}: there are {', '.join(models)}, {', '.join(f'{each}:NAME' for each in _families)},"
            " and auto",
            field="model",
        )
    checkpoint = CHECKPOINTS.get(name.base)
    had = None if checkpoint is None else weight_files.obtain(checkpoint, weights)
    return models[name.base].load(had, name.pooling)


def _reason(choice: str, passed_over: list[str]) -> str:
    return f"{choice}." if not passed_over else f"{choice}; passed over: {'; '.join(passed_over)}."


def _known() -> Mapping[str, _Model]:
    importlib.import_module(_MODELS_MODULE)
    return MappingProxyType(_models)


def _candidates() -> list[str]:
    return [name for name, model in _known().items() if model.info.is_candidate]


def _described(info: ModelInfo, weights: WeightSource) -> ModelInfo:
    checkpoint = CHECKPOINTS.get(info.name)
    available, detail = availability(checkpoint, weights) if checkpoint is not None else (True, "needs no weights")
    return dataclasses.replace(info, available=available, detail=detail)


def availability(checkpoint: Checkpoint, weights: WeightSource) -> tuple[bool, str]:
    """Return whether published weights are here, and where, or what would have to be done. Fetches nothing."""
    try:
        path = weight_files.find(checkpoint, weights)
    except WeightsUnavailable as error:
        return False, error.message
    if path is not None:
        return True, f"weights: {path}"
    place = weight_files.cache_path(checkpoint)
    remedy = f"put {checkpoint.file_name} at {place}, or start with `pixvec up --weights {checkpoint.model}=FILE`"
    return False, f"its weights will be downloaded on first use; or {remedy}" if weights.download else remedy
