"""The models there are, the best first. Nothing here imports a model library before a model is loaded."""

from pixvec.errors import WeightsUnavailable
from pixvec.vision.preprocess import Fit, Preprocess
from pixvec.vision.registry import Extractor, register
from pixvec.vision.weights import WeightFile


@register(
    "resnet50",
    dim=2048,
    description="ResNet-50, global average pool (He et al. 2016; ImageNet-1k V2): the best of these for things",
)
def load_resnet50(weights: WeightFile | None) -> Extractor:
    """Return the extractor. Raises WeightsUnavailable if the file does not hold this network."""
    return _load_backbone("resnet50", weights, Preprocess(resize=232, crop=224))


@register(
    "mobilenet_v3_small",
    dim=576,
    description="MobileNetV3-Small, global average pool (Howard et al. 2019; ImageNet-1k V1): many times faster",
)
def load_mobilenet_v3_small(weights: WeightFile | None) -> Extractor:
    """Return the extractor: the pooled last feature map, without the classifier's hidden layer.

    Raises WeightsUnavailable if the file does not hold this network.
    """
    return _load_backbone("mobilenet_v3_small", weights, Preprocess(resize=256, crop=224))


@register(
    "hog-color",
    dim=2488,
    description="Lab colour histogram and oriented gradients: needs no weights; finds copies and crops, not likenesses",
)
def load_hog_color(_weights: WeightFile | None) -> Extractor:
    """Return the extractor."""
    from pixvec.vision.hog_colour import HogColour

    # The whole picture: what a crop shows must be in the original's vector, wherever it was.
    return HogColour("hog-color", Preprocess(resize=128, crop=128, fit=Fit.SQUASH))


def _load_backbone(name: str, weights: WeightFile | None, preprocess: Preprocess) -> Extractor:
    if weights is None:
        raise WeightsUnavailable(f"{name} cannot be loaded without weights")
    from pixvec.vision import torch_backbone

    return torch_backbone.load(name, weights, preprocess)
