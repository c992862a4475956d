"""The networks of torchvision as extractors: weights in, classifier left out, pooled. Imports torch."""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torchvision.models
from torch.fx.experimental.optimization import fuse
from torchvision.models.feature_extraction import create_feature_extractor

from pixvec.vision.architectures import Architecture
from pixvec.vision.digest import model_digest
from pixvec.vision.model_name import PoolingChoice
from pixvec.vision.pooling import Pool, choose_pool, is_learned_power, learned_power
from pixvec.vision.state_dict import assign, read
from pixvec.vision.torch_backbone import TorchBackbone
from pixvec.vision.weights import WeightFile

VERSION = 1
_CLASSIFIER = ("avgpool", "fc", "classifier")


def load(architecture: Architecture, weights: WeightFile, pooling: PoolingChoice | None) -> TorchBackbone:
    """Return the extractor, on a GPU if there is one.

    Raises WeightsUnavailable if the file does not fit, InvalidRequest for a pooling that the network has not.
    """
    state = read(weights.path)
    pool = pool_of(architecture, pooling, learned_power(state))
    left_out = tuple(f"{name}." for name in architecture.head)
    kept = {key: value for key, value in state.items() if not key.startswith(left_out) and not is_learned_power(key)}
    network = without_head(architecture)
    assign(network, kept, weights.path)
    text = post_processing(network, pool)
    digest = model_digest(architecture.name, VERSION, weights.sha256, architecture.preprocess, text)
    return TorchBackbone(str_of(architecture.name, pooling), digest, architecture.preprocess, pooled(network, pool))


def str_of(base: str, pooling: PoolingChoice | None) -> str:
    """Return the name of a model with the pooling that was asked for."""
    return base if pooling is None else f"{base}+{pooling}"


def pool_of(architecture: Architecture, pooling: PoolingChoice | None, learned: float | None) -> Pool:
    """Return the network's pool, or the one asked for. Raises InvalidRequest for one that it has not."""
    tokens = int("heads" in architecture.head)
    return choose_pool(architecture.name, pooling, architecture.pooling, prefix=tokens, learned=learned)


def without_head(architecture: Architecture) -> torch.nn.Module:
    """Return the network on the meta device, without its classifier: no memory or time for weights to be replaced."""
    with torch.device("meta"):
        network: torch.nn.Module = torchvision.models.get_model(architecture.name, weights=None)
    for name in architecture.head:
        network.set_submodule(name, torch.nn.Identity())
    return network


def post_processing(network: torch.nn.Module, pool: Pool) -> str:
    """Return what the digest says of all that comes after the last feature map."""
    return ", ".join([pool.text, *(["layer norm"] if _norm_of(network) else []), "L2"])


def pooled(network: torch.nn.Module, pool: Pool) -> torch.nn.Module:
    """Return the network from pictures to (n, dim), ready to run. It must have its weights."""
    network.eval().requires_grad_(False)
    norm = _norm_of(network)
    trunk = torch.nn.Sequential(OrderedDict(features=_trunk(network)))
    return _Pooled(trunk if isinstance(network, torchvision.models.VisionTransformer) else fuse(trunk), pool, norm)


class _Pooled(torch.nn.Module):
    def __init__(self, trunk: torch.nn.Module, pool: Pool, norm: torch.nn.LayerNorm | None) -> None:
        super().__init__()
        self.trunk, self.pool, self.norm = trunk, pool, norm

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.pool(self.trunk(pictures))
        if self.norm is None:
            return vectors
        weight, bias = self.norm.weight.float(), self.norm.bias.float()
        return torch.nn.functional.layer_norm(vectors, weight.shape, weight, bias, self.norm.eps)


class _Tokens(torch.nn.Module):
    """A vision transformer up to its last layer norm: (n, 1 + patches, dim)."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.extractor: Callable[[torch.Tensor], dict[str, torch.Tensor]] = create_feature_extractor(
            network, {"encoder": "tokens"}
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.extractor(pictures)["tokens"]


def _norm_of(network: torch.nn.Module) -> torch.nn.LayerNorm | None:
    """Return the norm that ConvNeXt has between its pool and its classifier."""
    classifier = getattr(network, "classifier", None)
    first = classifier[0] if isinstance(classifier, torch.nn.Sequential) and len(classifier) else None
    return first if isinstance(first, torch.nn.LayerNorm) else None


def _trunk(network: torch.nn.Module) -> torch.nn.Module:
    """Return the network up to its last feature map."""
    if isinstance(network, torchvision.models.VisionTransformer):
        return _Tokens(network)
    features = getattr(network, "features", None)
    if isinstance(features, torch.nn.Module):
        return features
    return torch.nn.Sequential(
        OrderedDict((name, child) for name, child in network.named_children() if name not in _CLASSIFIER)
    )
