"""Weights to measure speed with: random numbers in the right shapes cost a model what trained ones cost."""

import json
from pathlib import Path

import numpy as np
import open_clip
import timm
import torch
import torchvision
from safetensors.torch import save_file

from pixvec.vision.codebook import Codebook, save_codebook

# A vision transformer of 12 million parameters with a text tower beside it.
_CLIP = {
    "model_cfg": {
        "embed_dim": 256,
        "vision_cfg": {"image_size": 224, "layers": 6, "width": 384, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 4},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


def random_weights(model: str, folder: Path) -> Path:
    """Write a state dict of random weights for a torchvision model, the same on every run, and return its file."""
    torch.manual_seed(0)
    file = folder / f"{model}.pth"
    torch.save(torchvision.models.get_model(model, weights=None).state_dict(), file)
    return file


def random_detector(model: str, folder: Path) -> Path:
    """Do as `random_weights` does for a detector, one that finds many things: its norms have seen pictures, and it is
    sure of classes."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(model, weights=None, weights_backbone=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.backbone.train()
    with torch.no_grad():
        network.backbone(torch.randn(2, 3, 320, 320))
    network.roi_heads.box_predictor.cls_score.weight.data.normal_(0, 1)
    file = folder / f"{model}.pth"
    torch.save(network.state_dict(), file)
    return file


def random_timm(model: str, folder: Path) -> Path:
    """Do as `random_weights` does for a model of timm."""
    torch.manual_seed(0)
    file = folder / f"{model}.pth"
    torch.save(timm.create_model(model, pretrained=False).state_dict(), file)
    return file


def random_clip(folder: Path) -> Path:
    """Write a small model of open_clip with random weights into a folder of its own, and return that."""
    torch.manual_seed(0)
    home = folder / "clip"
    home.mkdir()
    (home / "open_clip_config.json").write_text(json.dumps(_CLIP))
    network = open_clip.create_model(f"local-dir:{home}", load_weights=False)
    state = {name: value.detach().contiguous().clone() for name, value in network.state_dict().items()}
    save_file(state, home / "open_clip_model.safetensors")
    return home


def random_codebook(words: int, dim: int, folder: Path) -> Path:
    """Write a codebook of random words for descriptors of this length, and return its file."""
    rng = np.random.default_rng(0)
    centroids = rng.random((words, dim), np.float32) ** 4
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return save_codebook(Codebook(centroids, np.ones(words, np.float32)), folder, "random")
