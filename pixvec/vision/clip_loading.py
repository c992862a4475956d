"""Where open_clip's models come from: its hub by NAME/TAG, or a folder. Imports open_clip.

Repositories of anyone's on the hub cannot be named: whoever may make a collection could have anything downloaded. One
that is wanted is put into a folder.
"""

import hashlib
import json
import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from safetensors import SafetensorError

from pixvec.errors import ModelNotFound, WeightsUnavailable
from pixvec.vision.clip_towers import ClipTowers
from pixvec.vision.digest import model_digest
from pixvec.vision.hub import fetch
from pixvec.vision.model_files import locate
from pixvec.vision.preprocess import Fit, Interpolation, Preprocess
from pixvec.vision.state_dict import check_finite
from pixvec.vision.torch_backbone import Normalisation
from pixvec.vision.weights import WeightFile, WeightSource, checked

_VERSION = 1
_LOCAL = "local-dir:"
_CONFIG = "open_clip_config.json"
# As open_clip writes and publishes them, those that hold nothing but tensors first.
_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "pytorch_model.bin",
)
_PUBLISHED = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
_FITS = {"shortest": Fit.CROP, "squash": Fit.SQUASH, "longest": Fit.PAD}
# All that open_clip was seen to raise on configurations and files that are none of its own.
_REFUSALS = (
    OSError,
    SafetensorError,
    pickle.UnpicklingError,
    ImportError,
    EOFError,
    StopIteration,
    RuntimeError,
    ValueError,
    LookupError,
    AssertionError,
    AttributeError,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class _Origin:
    """`reference`: what open_clip calls the network; `overlay`: what its published weights are made for."""

    reference: str
    weights: WeightFile
    overlay: Mapping[str, Any]


def load(base: str, source: WeightSource) -> ClipTowers:
    """Return the extractor of `open_clip:…`.

    Raises ModelNotFound for a name that open_clip has not, WeightsUnavailable where files are not to be had, or are not
    of this network.
    """
    origin = _origin(base, source)
    try:
        network = _build(origin)
        open_clip.load_checkpoint(network, str(origin.weights.path), weights_only=True)
        tokenizer = open_clip.get_tokenizer(origin.reference)
        config = open_clip.get_model_config(origin.reference)
    except _REFUSALS as error:
        raise WeightsUnavailable(
            f"{base}: {origin.weights.path} and its configuration make no model of open_clip ({_cause(error)})"
        ) from error
    check_finite(network, origin.weights.path)
    taken = open_clip.get_model_preprocess_cfg(network)
    preprocess, normalisation = _preprocess(base, taken), Normalisation(tuple(taken["mean"]), tuple(taken["std"]))
    sha256 = _identity(origin, config, normalisation)
    digest = model_digest("open_clip", _VERSION, sha256, preprocess, "L2")
    return ClipTowers(base, digest, preprocess, network, tokenizer, normalisation)


def _origin(base: str, source: WeightSource) -> _Origin:
    name = base.partition(":")[2]
    if name.startswith(_LOCAL):
        return _in_folder(base, locate(base, name.removeprefix(_LOCAL), source))
    return _published(base, name, source)


def _in_folder(base: str, folder: Path) -> _Origin:
    file = next((folder / each for each in _FILES if (folder / each).is_file()), None)
    if file is None or not (folder / _CONFIG).is_file():
        raise WeightsUnavailable(f"{base}: {folder} must hold {_CONFIG} and weights, as {_FILES[0]}")
    return _Origin(f"{_LOCAL}{folder}", checked(file), {})


def _published(base: str, name: str, source: WeightSource) -> _Origin:
    network, _, tag = name.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(network)
    if tag not in tags:
        known = f"its tags are {', '.join(tags)}" if tags else "open_clip has no network of that name"
        raise ModelNotFound(f"{base!r} is no open_clip:NAME/TAG: {known}", field="model")
    overlay = open_clip.get_pretrained_cfg(network, tag)
    named = source.files.get(base)
    if named is not None:
        return _Origin(network, checked(named), overlay)
    organisation, _, rest = str(overlay.get("hf_hub", "")).partition("/")
    repository, _, file = rest.partition("/")
    if not repository:
        raise WeightsUnavailable(f"{base} is not published on a hub: start with `pixvec up --weights {base}=FILE`")
    files = (file,) if file else _PUBLISHED
    return _Origin(network, fetch(base, f"{organisation}/{repository}", files, source), overlay)


def _build(origin: _Origin) -> Any:
    # Without weights: which file they come from is chosen here, where its hash is taken.
    with _without_the_warning_of_no_weights():
        return open_clip.create_model(
            origin.reference,
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=bool(origin.overlay.get("quick_gelu")),
            force_preprocess_cfg={key: origin.overlay[key] for key in _PREPROCESS if key in origin.overlay},
        )


@contextmanager
def _without_the_warning_of_no_weights() -> Iterator[None]:
    """Keep from the log that the network is random: it has weights in the next moment."""

    def tells_something(record: logging.LogRecord) -> bool:
        return "initialized randomly" not in record.getMessage()

    # open_clip's warnings are the root logger's own.
    logging.getLogger().addFilter(tells_something)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(tells_something)


def _preprocess(base: str, taken: Mapping[str, Any]) -> Preprocess:
    size = taken["size"]
    height, width = (size, size) if isinstance(size, int) else size
    fit = _FITS.get(taken["resize_mode"])
    if height != width or fit is None:
        raise WeightsUnavailable(f"{base} takes pictures of {width} x {height}, {taken['resize_mode']}: not squares")
    bilinear = taken["interpolation"] == "bilinear"
    return Preprocess(height, height, fit, Interpolation.BILINEAR if bilinear else Interpolation.BICUBIC)


def _identity(origin: _Origin, config: Any, normalisation: Normalisation) -> str:
    """Return one hash over the weights and what the network is built by."""
    built_by = [config, bool(origin.overlay.get("quick_gelu")), normalisation.mean, normalisation.std]
    text = f"{origin.weights.sha256} {json.dumps(built_by, sort_keys=True)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _cause(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return "it is no pickle, or one of more than tensors, which could run code"
    # What does not fit is on the line below the one that says that something does not.
    return " ".join(line.strip() for line in str(error).splitlines()[:2]) or type(error).__name__
