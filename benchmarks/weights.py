"""Weights to measure speed with: random numbers in the right shapes cost a model what trained ones cost."""

from pathlib import Path

import torch
import torchvision


def random_weights(model: str, folder: Path) -> Path:
    """Write a state dict of random weights for a torchvision model, the same on every run, and return its file."""
    torch.manual_seed(0)
    file = folder / f"{model}.pth"
    torch.save(torchvision.models.get_model(model, weights=None).state_dict(), file)
    return file
