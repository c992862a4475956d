"""`checkpoint:ARCHITECTURE[/LABEL]`: a self-supervised backbone from a file. Imports torch.

ARCHITECTURE is one of torchvision's that are registered, else one of timm's. Pictures are normalised as ImageNet's are,
as MoCo, DINO, MAE and most of SimCLR's descendants do.
"""

import torch

from pixvec.errors import WeightsUnavailable
from pixvec.vision import torchvision_networks
from pixvec.vision.architectures import ARCHITECTURES, Architecture
from pixvec.vision.checkpoint_layouts import State, backbone_state, unwrap
from pixvec.vision.digest import model_digest
from pixvec.vision.model_files import weight_file
from pixvec.vision.model_name import ModelName
from pixvec.vision.pooling import learned_power
from pixvec.vision.state_dict import assign, read_any
from pixvec.vision.torch_backbone import IMAGENET, TorchBackbone
from pixvec.vision.weights import WeightFile, WeightSource

_VERSION = 1


def load(name: ModelName, source: WeightSource) -> TorchBackbone:
    """Return the extractor.

    Raises ModelNotFound for an unknown architecture, InvalidRequest for a pooling it has not, WeightsUnavailable where
    the file is not to be had or does not fit, naming the first weights that do not.
    """
    architecture = name.family[1].partition("/")[0]
    file = weight_file(name.base, name.family[1], source)
    state = unwrap(read_any(file.path))
    if state is None:
        raise WeightsUnavailable(f"{file.path} holds no state dict, nor a checkpoint that has one: name another file")
    if architecture in ARCHITECTURES:
        return _load_torchvision(ARCHITECTURES[architecture], name, file, state)
    return _load_timm(architecture, name, file, state)


def _load_torchvision(architecture: Architecture, name: ModelName, file: WeightFile, state: State) -> TorchBackbone:
    pool = torchvision_networks.pool_of(architecture, name.pooling, learned_power(state))
    network = torchvision_networks.without_head(architecture)
    _fill(network, state, file)
    text = torchvision_networks.post_processing(network, pool)
    digest = model_digest(f"checkpoint:{architecture.name}", _VERSION, file.sha256, architecture.preprocess, text)
    pooled = torchvision_networks.pooled(network, pool)
    return TorchBackbone(torchvision_networks.str_of(name.base, name.pooling), digest, architecture.preprocess, pooled)


def _load_timm(architecture: str, name: ModelName, file: WeightFile, state: State) -> TorchBackbone:
    from pixvec.vision import timm_networks

    network = timm_networks.without_head(architecture)
    pool = timm_networks.pool_of(network, name, learned_power(state))
    _fill(network, state, file)
    preprocess = timm_networks.preprocess_of(network)
    text = timm_networks.post_processing(pool)
    digest = model_digest(f"checkpoint:timm:{architecture}", _VERSION, file.sha256, preprocess, text)
    pooled = timm_networks.pooled(network, pool)
    return TorchBackbone(torchvision_networks.str_of(name.base, name.pooling), digest, preprocess, pooled, IMAGENET)


def _fill(network: torch.nn.Module, state: State, file: WeightFile) -> None:
    # The count of batches is not in every file, and says nothing of which file it is.
    expected = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    children = [name for name, _ in network.named_children()]
    assign(network, backbone_state(state, expected, children), file.path)
