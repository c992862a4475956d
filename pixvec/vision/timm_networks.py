"""Networks of timm: built, pooled, and what pixels they take. Imports timm."""

import math
from typing import Any

import timm
import timm.data
import torch

from pixvec.errors import ModelNotFound, WeightsUnavailable
from pixvec.vision.model_name import ModelName, Pooling, PoolingChoice
from pixvec.vision.pooling import Pool, choose_pool
from pixvec.vision.preprocess import Fit, Interpolation, Preprocess
from pixvec.vision.torch_backbone import Normalisation

_FITS = {"center": Fit.CROP, "squash": Fit.SQUASH, "border": Fit.PAD}


def without_head(name: str) -> torch.nn.Module:
    """Return the network with random weights and without its classifier. Raises ModelNotFound."""
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.partition('.')[0][:8]}*")[:5]) or "resnet18, vit_small_patch16_224"
        raise ModelNotFound(f"timm has no network {name!r}: it has {near} and others", field="model")
    network: torch.nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
    return network


def pool_of(network: Any, name: ModelName, learned: float | None) -> Pool | None:
    """Return the pool that is asked for, or None for the network's own. Raises InvalidRequest for one it has not."""
    choice = name.pooling
    if choice is None and learned is None:
        return None
    prefix = int(getattr(network, "num_prefix_tokens", 0))
    return choose_pool(name.base, choice or PoolingChoice(Pooling.GEM), Pooling.AVERAGE, prefix=prefix, learned=learned)


def post_processing(pool: Pool | None) -> str:
    """Return what the digest says of all that comes after the last feature map."""
    return f"{pool.text if pool else 'pooled as timm does'}, L2"


def pooled(network: torch.nn.Module, pool: Pool | None) -> torch.nn.Module:
    """Return the network from pictures to (n, dim), ready to run."""
    network.eval().requires_grad_(False)
    return network if pool is None else _Pooled(network, pool)


def preprocess_of(network: torch.nn.Module) -> Preprocess:
    """Return the pixels that the network takes. Raises WeightsUnavailable for those that cannot be had here."""
    config = _config_of(network)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise WeightsUnavailable(f"it takes pictures of {width} x {height} in {channels} channels, not squares of RGB")
    fit = _FITS.get(config["crop_mode"], Fit.CROP)
    interpolation = Interpolation.BILINEAR if config["interpolation"] == "bilinear" else Interpolation.BICUBIC
    resize = math.floor(height / config["crop_pct"]) if fit is Fit.CROP else height
    return Preprocess(resize, height, fit, interpolation)


def normalisation_of(network: torch.nn.Module) -> Normalisation:
    """Return what the network's pictures are normalised by."""
    config = _config_of(network)
    return Normalisation(tuple(config["mean"]), tuple(config["std"]))


def _config_of(network: torch.nn.Module) -> dict[str, Any]:
    resolve: Any = timm.data.resolve_model_data_config  # type: ignore[attr-defined]  # it is there
    config: dict[str, Any] = resolve(network)
    return config


class _Pooled(torch.nn.Module):
    def __init__(self, network: Any, pool: Pool) -> None:
        super().__init__()
        self.network, self.pool = network, pool

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network.forward_features(pictures)
        # Some have their channels last.
        if features.ndim == 4 and features.shape[1] != self.network.num_features:
            features = features.permute(0, 3, 1, 2)
        vectors: torch.Tensor = self.pool(features)
        return vectors
