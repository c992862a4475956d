"""`timm:NAME` as an extractor, its weights from a named file or from timm's hub. Imports timm.

R. Wightman, PyTorch Image Models.
"""

from typing import Any

from pixvec.errors import WeightsUnavailable
from pixvec.vision import timm_networks
from pixvec.vision.checkpoint_layouts import backbone_state, unwrap
from pixvec.vision.digest import model_digest
from pixvec.vision.hub import fetch
from pixvec.vision.model_name import ModelName
from pixvec.vision.pooling import learned_power
from pixvec.vision.state_dict import assign, read_any
from pixvec.vision.torch_backbone import TorchBackbone
from pixvec.vision.torchvision_networks import str_of
from pixvec.vision.weights import WeightFile, WeightSource, checked

_VERSION = 1
_FILES = ("model.safetensors", "pytorch_model.bin")


def load(name: ModelName, source: WeightSource) -> TorchBackbone:
    """Return the extractor. Raises as a registry.Family's `load` does."""
    network = timm_networks.without_head(name.family[1])
    file = _weights(name, network, source)
    state = unwrap(read_any(file.path))
    if state is None:
        raise WeightsUnavailable(f"{file.path} holds no state dict: name another file")
    pool = timm_networks.pool_of(network, name, learned_power(state))
    expected = list(network.state_dict())
    assign(network, backbone_state(state, expected, []), file.path)
    preprocess = timm_networks.preprocess_of(network)
    digest = model_digest(name.base, _VERSION, file.sha256, preprocess, timm_networks.post_processing(pool))
    return TorchBackbone(
        str_of(name.base, name.pooling),
        digest,
        preprocess,
        timm_networks.pooled(network, pool),
        timm_networks.normalisation_of(network),
    )


def _weights(name: ModelName, network: Any, source: WeightSource) -> WeightFile:
    named = source.files.get(name.base)
    if named is not None:
        return checked(named)
    repository = network.pretrained_cfg.get("hf_hub_id")
    if not repository:
        raise WeightsUnavailable(
            f"no weights of {name.base} are published on timm's hub: start with `pixvec up --weights {name.base}=FILE`"
        )
    return fetch(name.base, repository, _FILES, source)
