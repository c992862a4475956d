"""Convolutional backbones from torchvision, pooled globally: ResNet-50 and MobileNetV3-Small.

K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016. A. Howard et al., Searching for MobileNetV3,
ICCV 2019. Weights: torchvision's, trained on ImageNet-1k. Nothing here imports torch before a model is loaded.
"""

from pixvec.errors import WeightsUnavailable
from pixvec.vision.preprocess import Preprocess
from pixvec.vision.registry import Extractor, register
from pixvec.vision.weights import WeightFile


@register(
    "resnet50",
    dim=2048,
    description="ResNet-50, global average pool (ImageNet-1k V2): the best of these for pictures of things",
)
def load_resnet50(weights: WeightFile | None) -> Extractor:
    """Return the extractor. Raises WeightsUnavailable if the file does not hold this network."""
    return _load("resnet50", weights, Preprocess(resize=232, crop=224))


@register(
    "mobilenet_v3_small",
    dim=576,
    description="MobileNetV3-Small, global average pool (ImageNet-1k V1): several times faster, a little less exact",
)
def load_mobilenet_v3_small(weights: WeightFile | None) -> Extractor:
    """Return the extractor. Raises WeightsUnavailable if the file does not hold this network."""
    return _load("mobilenet_v3_small", weights, Preprocess(resize=256, crop=224))


def _load(name: str, weights: WeightFile | None, preprocess: Preprocess) -> Extractor:
    if weights is None:
        raise WeightsUnavailable(f"{name} cannot be loaded without weights")
    from pixvec.vision import torch_backbone

    return torch_backbone.load(name, weights, preprocess)
