"""Models to measure, and each one's bare loop: its library's own network, run as one would write it by hand.

Without a network there is nothing barer than the extractor's own function, called in the caller's thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import timm
import torch
import torchvision

from benchmarks.weights import random_clip, random_codebook, random_timm, random_weights
from pixvec.vision.architectures import ARCHITECTURES
from pixvec.vision.extractor import Extractor, Vectors
from pixvec.vision.local_features import DIM
from pixvec.vision.preprocess import Pixels
from pixvec.vision.registry import load
from pixvec.vision.torch_backbone import IMAGENET, Normalisation, fastest_dtype
from pixvec.vision.weights import WeightSource

TIMM = ("resnet10t", "vit_tiny_patch16_224")
SIFT = ("sift-bow", "sift-vlad")
CLIP = "open_clip:local-dir:small"
HANDCRAFTED = ("hog-color", "hog", "color-hsv", "color-lab", "lbp", *SIFT)
NAMES = (*ARCHITECTURES, "resnet18+flip", *(f"timm:{name}" for name in TIMM), CLIP, *HANDCRAFTED)

_WORDS = 64
_HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

Bare = Callable[[Pixels], Vectors]


@dataclass(frozen=True, slots=True)
class Subject:
    """An extractor and its bare loop, from the same pixels to the same vectors."""

    extractor: Extractor
    bare: Bare


class BareNetwork:
    """(n, h, w, 3) uint8 pixels to (n, dim), in the machine's fastest type and with channels last."""

    def __init__(self, network: torch.nn.Module, normalisation: Normalisation = IMAGENET, forward: Any = None) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = fastest_dtype(self._device)
        self._network = network.eval().requires_grad_(False).to(self._device, self._dtype)
        self._network.to(memory_format=torch.channels_last)
        self._forward = forward or self._network
        self._mean, self._std = (
            255 * torch.tensor(values, device=self._device).view(3, 1, 1)
            for values in (normalisation.mean, normalisation.std)
        )

    def compile(self) -> None:
        """Have the network compiled from now on, for each size of batch of its own."""
        self._forward = torch.compile(self._network, dynamic=False)

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Vectors:
        """Return the vectors, of length one."""
        batch = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float()
        features = self._forward(batch.sub_(self._mean).div_(self._std).to(self._dtype))
        vectors: Vectors = torch.nn.functional.normalize(features.flatten(1).float(), dim=1).cpu().numpy()
        return vectors


def subject(name: str, folder: Path) -> Subject:
    """Return one of NAMES with random weights, which are written into the folder."""
    base, _, step = name.partition("+")
    family, _, rest = base.partition(":")
    if family == "open_clip":
        home = random_clip(folder)
        return Subject(_load(name, home), _bare_clip(home))
    if family == "timm":
        file = random_timm(rest, folder)
        return Subject(_load(name, file), _bare_timm(rest, file))
    if base in SIFT:
        return _extractor_alone(f"{name}:random", random_codebook(_WORDS, DIM, folder))
    if base not in ARCHITECTURES:
        return _extractor_alone(name, None)
    file = random_weights(base, folder)
    bare = BareNetwork(_torchvision(base, file))
    return Subject(_load(name, file), _flipped(bare) if step == "flip" else bare)


def _load(name: str, file: Path | None) -> Extractor:
    files = {} if file is None else {name.partition("+")[0]: file}
    return load(name, WeightSource(files, download=False))


def _extractor_alone(name: str, file: Path | None) -> Subject:
    extractor = _load(name, file)
    return Subject(extractor, extractor.embed)


def _torchvision(name: str, file: Path) -> torch.nn.Module:
    network: torch.nn.Module = torchvision.models.get_model(name, weights=None)
    network.load_state_dict(torch.load(file, weights_only=True))
    for head in ARCHITECTURES[name].head:
        network.set_submodule(head, torch.nn.Identity())
    return network


def _bare_timm(name: str, file: Path) -> Bare:
    network = timm.create_model(name, num_classes=0)
    # What the file has beyond it is the classifier.
    network.load_state_dict(torch.load(file, weights_only=True), strict=False)
    config: Any = network.pretrained_cfg
    return BareNetwork(network, Normalisation(tuple(config["mean"]), tuple(config["std"])))


def _bare_clip(home: Path) -> Bare:
    network = open_clip.create_model(f"local-dir:{home}")
    return BareNetwork(network, _HALF, network.encode_image)


def _flipped(bare: Bare) -> Bare:
    def both(pixels: Pixels) -> Vectors:
        total = bare(pixels) + bare(np.ascontiguousarray(pixels[:, :, ::-1]))
        vectors: Vectors = total / np.linalg.norm(total, axis=1, keepdims=True)
        return vectors

    return both
