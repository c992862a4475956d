"""Networks with weights of chance that behave: each layer's values have the spread that it is normalised by."""

from pathlib import Path

import numpy as np
import torch

from pixvec.vision.preprocess import Preprocess
from tests.pictures import make_picture


def settled(network: torch.nn.Module, side: int = 96) -> torch.nn.Module:
    """Let batch norms see a batch, without which deep networks of chance give next to nothing; ready to run."""
    pictures = normalised(squares(Preprocess(side, side), 8))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(pictures)
    return network.eval()


def saved(network: torch.nn.Module, file: Path) -> Path:
    """Write the network's state dict."""
    torch.save(network.state_dict(), file)
    return file


def squares(preprocess: Preprocess, count: int = 2) -> np.ndarray:
    """Return (count, crop, crop, 3) pixels of made pictures."""
    return np.stack([preprocess.apply(make_picture(seed)) for seed in range(count)])


def normalised(
    pixels: np.ndarray, mean: tuple[float, ...] = (0.485, 0.456, 0.406), std: tuple[float, ...] = (0.229, 0.224, 0.225)
) -> torch.Tensor:
    """Return the pixels as published transforms hand them to a network: ToTensor and Normalize."""
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (scaled - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def cosines(vectors: np.ndarray, truth: torch.Tensor) -> np.ndarray:
    """Return each row's cosine with what the library's own network gives."""
    return (vectors * torch.nn.functional.normalize(truth).numpy()).sum(axis=1)
