"""The vectors of a small network: weights of plain numbers, run as every network of torch is, and what is stored."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.digest import model_digest
from pixvec.vision.preprocess import Interpolation, Preprocess
from pixvec.vision.torch_backbone import TorchBackbone
from tests.golden.measure import summary
from tests.golden.pictures import files

# As published networks take theirs, smaller.
PREPROCESS = Preprocess(64, 56, interpolation=Interpolation.BICUBIC)


def network() -> TorchBackbone:
    """Return an extractor of (n, 512): two convolutions, and means over a grid."""
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(4),
        torch.nn.Flatten(),
    )
    layers.load_state_dict({name: _waves(value.shape) for name, value in layers.state_dict().items()})
    digest = model_digest("golden", 1, "", PREPROCESS, "L2")
    return TorchBackbone("golden", digest, PREPROCESS, layers.eval().requires_grad_(False))


def measure_all(model: TorchBackbone) -> Mapping[str, dict[str, Any]]:
    """Return, by picture, few numbers that a change of any component moves."""
    pictures = {name: decode(content, PREPROCESS, DecodeLimits()).pixels for name, content in files().items()}
    vectors = model.embed(np.stack(list(pictures.values())))
    return {name: summary(vector) for name, vector in zip(pictures, vectors, strict=True)}


def _waves(shape: torch.Size) -> torch.Tensor:
    """Return weights of -1 to 1 over the root of how many each output sums, the same with every release of torch."""
    x = np.arange(1, shape.numel() + 1, dtype=np.float64)
    values = np.sin(x * x) / max(1, np.prod(shape[1:])) ** 0.5
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)
