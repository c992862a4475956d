"""A small Faster R-CNN, trained on made scenes to find their shapes, in a file as the product takes trained detectors.

About a minute on one core; kept in pytest's cache until what it is made by changes.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

import tests.scenes
from tests.one_thread import one_thread
from tests.scenes import SHAPES, scenes

# What the file is to be named by: `--weights NAME=FILE`. Its classes are SHAPES.
NAME = "detector:fasterrcnn_resnet18_fpn/shapes"
# The short side of the pictures it was trained on: others are made as small.
SIDE = 80
DIM = 256

_SCENES, _STEPS, _BATCH, _LEARNING_RATE = 1200, 250, 8, 2e-3
_WIDTH = 64
_ANCHORS = [[16], [32], [48], [64], [96]]
_RATIOS = [0.5, 1.0, 2.0]


def trained_detector(cache: pytest.Cache) -> Path:
    """Return the file of the trained detector, training it if the cache has none."""
    file = cache.mkdir("detectors") / _made_by() / "shapes.safetensors"
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        write_detector(_trained(), file)
    return file


def new_network(seed: int = 0) -> FasterRCNN:
    """Return the same network with weights of chance."""
    torch.manual_seed(seed)
    body = torchvision.models.resnet18(weights=None)
    layers = {f"layer{layer}": str(layer - 1) for layer in (1, 2, 3, 4)}
    return FasterRCNN(
        BackboneWithFPN(body, layers, [64, 128, 256, 512], _WIDTH),
        min_size=SIDE,
        max_size=2 * SIDE,
        rpn_anchor_generator=AnchorGenerator(_ANCHORS, [_RATIOS] * len(_ANCHORS)),
        box_head=TwoMLPHead(_WIDTH * 7**2, DIM),
        box_predictor=FastRCNNPredictor(DIM, len(SHAPES) + 1),
        # A few proposals are enough for a few things, and most of the time goes into them.
        rpn_pre_nms_top_n_train=300,
        rpn_post_nms_top_n_train=150,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=32,
    )


def write_detector(network: FasterRCNN, file: Path) -> None:
    """Write the network with all that the product has to know of it."""
    beside = {
        "classes": SHAPES,
        "min_size": SIDE,
        "max_size": 2 * SIDE,
        "anchor_sizes": _ANCHORS,
        "aspect_ratios": _RATIOS,
    }
    state = {name: value.detach().contiguous().clone() for name, value in network.state_dict().items()}
    part = file.with_suffix(".part")
    save_file(state, part, {name: json.dumps(value) for name, value in beside.items()})
    part.replace(file)


def _made_by() -> str:
    sources = b"".join(Path(module).read_bytes() for module in (__file__, tests.scenes.__file__))
    versions = f"{torchvision.__version__} {torch.__version__} {np.__version__}"
    return hashlib.sha256(sources + versions.encode()).hexdigest()[:16]


def _trained() -> FasterRCNN:
    with one_thread():
        network = new_network()
        _fit(network, *_examples())
    return network


def _examples() -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    made = list(scenes(range(_SCENES), (SIDE, SIDE)))
    pictures = torch.from_numpy(np.stack([np.asarray(scene.picture) for scene in made])).permute(0, 3, 1, 2) / 255
    targets = [
        {
            "boxes": torch.tensor([thing.box_xyxy for thing in scene.things], dtype=torch.float32),
            "labels": torch.tensor([thing.label + 1 for thing in scene.things]),
        }
        for scene in made
    ]
    return pictures, targets


def _fit(network: FasterRCNN, pictures: torch.Tensor, targets: list[dict[str, torch.Tensor]]) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=_STEPS)
    order = torch.Generator().manual_seed(0)
    network.train()
    for _ in range(_STEPS):
        batch = torch.randint(len(pictures), (_BATCH,), generator=order).tolist()
        losses = network([pictures[each] for each in batch], [targets[each] for each in batch])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
