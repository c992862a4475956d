"""Files of detectors that somebody trained: weights, what their classes are called, and how pictures are to be resized.

From torch.save, a dictionary of tensors and plain values:

    {"state_dict": network.state_dict(), "classes": ["cat", "dog"], "min_size": 800, "max_size": 1333,
     "anchor_sizes": [[32], [64], [128], [256], [512]], "aspect_ratios": [0.5, 1.0, 2.0]}

From safetensors, the tensors, and the other values as JSON in the metadata under the same names. All but the weights
and `classes` may be left out. `classes` are in the order of the network's labels, with or without the background's at
their head. Anchors can be told of networks on ResNets only, see `detector_networks`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from pixvec.errors import WeightsUnavailable
from pixvec.vision.checkpoint_layouts import unwrap
from pixvec.vision.preprocess import DetectorPreprocess
from pixvec.vision.state_dict import read_any

_LOGITS = "roi_heads.box_predictor.cls_score.weight"
_VALUES = ("classes", "min_size", "max_size", "anchor_sizes", "aspect_ratios")
_MOST_NAME = 200
# Of the pyramid that torchvision puts on a ResNet.
_LEVELS = 5


@dataclass(frozen=True, slots=True)
class Anchors:
    """The shapes of boxes that proposals start from: pixels for each level of the pyramid, and heights over widths."""

    sizes: tuple[tuple[int, ...], ...]
    aspect_ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DetectorFile:
    """What a file holds. `classes`: one name for each label but the background's, which is 0."""

    state: Mapping[str, torch.Tensor]
    classes: tuple[str, ...]
    preprocess: DetectorPreprocess
    anchors: Anchors | None


def read_detector(path: Path, preprocess: DetectorPreprocess) -> DetectorFile:
    """Return what the file holds; `preprocess` is for one that does not say.

    Raises WeightsUnavailable: not readable, no weights of a detector, no or too few names, or values of a wrong kind.
    """
    stored = read_any(path)
    state = unwrap(stored)
    if state is None or _LOGITS not in state:
        raise WeightsUnavailable(f"{path} holds no weights of a Faster or Mask R-CNN ({_LOGITS} is missing)")
    values = _values(path, stored)
    try:
        sides = DetectorPreprocess(
            int(values.get("min_size", preprocess.min_size)), int(values.get("max_size", preprocess.max_size))
        )
        return DetectorFile(state, _classes(values, len(state[_LOGITS])), sides, _anchors(values))
    except (ValueError, TypeError) as error:
        raise WeightsUnavailable(f"{path} does not say what it must beside the weights: {error}") from error


def _values(path: Path, stored: Mapping[str, Any]) -> dict[str, Any]:
    if path.suffix != ".safetensors":
        return {name: stored[name] for name in _VALUES if name in stored}
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        return {name: json.loads(metadata[name]) for name in _VALUES if name in metadata}
    except (OSError, ValueError) as error:
        raise WeightsUnavailable(f"{path}: what stands beside the weights is no JSON ({error})") from error


def _classes(values: Mapping[str, Any], labels: int) -> tuple[str, ...]:
    classes = values.get("classes")
    if not isinstance(classes, list | tuple) or len(classes) not in (labels, labels - 1):
        found = f"{len(classes)}" if isinstance(classes, list | tuple) else "none"
        raise ValueError(f"`classes` has to be a list of {labels - 1} names, one for each class; there are {found}")
    named = tuple(classes[len(classes) - labels + 1 :])
    if not all(isinstance(name, str) and 0 < len(name) <= _MOST_NAME for name in named):
        raise ValueError(f"`classes` has to be a list of texts of 1 to {_MOST_NAME} characters")
    return named


def _anchors(values: Mapping[str, Any]) -> Anchors | None:
    if "anchor_sizes" not in values:
        return None
    sizes = tuple(tuple(int(side) for side in level) for level in values["anchor_sizes"])
    ratios = tuple(float(ratio) for ratio in values.get("aspect_ratios", (0.5, 1.0, 2.0)))
    if not ratios or not all(sizes) or min((*ratios, *(side for level in sizes for side in level))) <= 0:
        raise ValueError("`anchor_sizes` and `aspect_ratios` have to be numbers above 0")
    if len(sizes) != _LEVELS or len(set(map(len, sizes))) != 1:
        raise ValueError(f"`anchor_sizes` has to be {_LEVELS} lists of equally many sizes, one for each level")
    return Anchors(sizes, ratios)
