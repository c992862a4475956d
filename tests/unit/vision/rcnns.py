"""Detectors with weights of chance that find something: two classes, small pictures, and files to load them from."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from pixvec.domain import RegionSettings
from pixvec.vision import detector_networks
from pixvec.vision.detector import Detector
from pixvec.vision.detectors import load_detector
from pixvec.vision.weights import WeightSource
from tests.pictures import make_picture
from tests.unit.vision.networks import settled

CLASSES = ("apple", "pear")
SIDES = (32, 48)
# Everything that a network of chance finds.
ALL = RegionSettings("by name", min_score=0.0, max_regions=1000)


def network_of(architecture: str, seed: int = 0) -> torch.nn.Module:
    """Return torchvision's own network, ready to run on small pictures."""
    torch.manual_seed(seed)
    network = torchvision.models.get_model(
        architecture,
        weights=None,
        weights_backbone=None,
        num_classes=len(CLASSES) + 1,
        min_size=SIDES[0],
        max_size=SIDES[1],
        box_detections_per_img=1000,
    )
    return lively(network)


def lively(network: torch.nn.Module) -> torch.nn.Module:
    """Let norms see pictures, and classes differ: a network of chance finds next to nothing otherwise."""
    settled(network.backbone, side=64)
    order = torch.Generator().manual_seed(0)
    predictor = network.roi_heads.box_predictor
    predictor.cls_score.weight.data.normal_(0, 0.1, generator=order)
    predictor.bbox_pred.weight.data.normal_(0, 0.05, generator=order)
    return network.eval()


def stored(network: torch.nn.Module, **beside: object) -> dict[str, object]:
    """Return what a file of the network holds."""
    values = {"classes": CLASSES, "min_size": SIDES[0], "max_size": SIDES[1], **beside}
    return {"state_dict": network.state_dict(), **values}


def loaded(architecture: str, network: torch.nn.Module, folder: Path, **beside: object) -> Detector:
    """Return the network as the product loads it from a file."""
    file = folder / "trained.pth"
    torch.save(stored(network, **beside), file)
    return load_from(architecture, file)


def load_from(architecture: str, file: Path, dtype: torch.dtype = torch.float32) -> Detector:
    """Return the detector of a file, in single precision: what networks of chance find hangs on every digit."""
    name = f"detector:{architecture}/fruit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector_networks, "fastest_dtype", lambda _: dtype)
        return load_detector(name, WeightSource({name: file}, download=False))


def pixels(seed: int, size: tuple[int, int] = (40, 32)) -> np.ndarray:
    """Return (height, width, 3) pixels of a made picture."""
    return np.array(make_picture(seed, size))


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    """Return the pixels as torchvision's detectors take them."""
    return torch.tensor(picture).permute(2, 0, 1).float() / 255
