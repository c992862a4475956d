"""The models there are, those that `auto` may take first, the best first.

Nothing here imports a model library before a model is loaded.
"""

from functools import partial

from pixvec.errors import WeightsUnavailable
from pixvec.vision.architectures import ARCHITECTURES, Architecture
from pixvec.vision.extractor import Extractor
from pixvec.vision.model_families import CheckpointFamily, OpenClipFamily, SiftFamily, TimmFamily
from pixvec.vision.model_name import PoolingChoice
from pixvec.vision.preprocess import Fit, Preprocess
from pixvec.vision.registry import ModelInfo, register, register_family, register_network
from pixvec.vision.weights import WeightFile

_CANDIDATES = ("resnet50", "mobilenet_v3_small")
# The whole picture: what a crop shows must be in the original's vector, wherever it was.
_WHOLE = Preprocess(resize=128, crop=128, fit=Fit.SQUASH)


def _load_network(architecture: Architecture, weights: WeightFile | None, pooling: PoolingChoice | None) -> Extractor:
    if weights is None:
        raise WeightsUnavailable(f"{architecture.name} cannot be loaded without weights")
    from pixvec.vision import torchvision_networks

    return torchvision_networks.load(architecture, weights, pooling)


def _register_network(architecture: Architecture) -> None:
    info = ModelInfo(
        architecture.name,
        architecture.dim,
        architecture.description,
        False,
        "",
        architecture.parameters,
        architecture.size_bytes,
        "torchvision",
        "BSD-3-Clause; trained on ImageNet-1k",
        is_candidate=architecture.name in _CANDIDATES,
    )
    register_network(info, partial(_load_network, architecture))


for _name in _CANDIDATES:
    _register_network(ARCHITECTURES[_name])


@register(
    "hog-color",
    dim=2488,
    description="Lab colour histogram and oriented gradients: needs no weights; finds copies and crops, not likenesses",
    is_candidate=True,
)
def load_hog_color(_weights: WeightFile | None) -> Extractor:
    """Return the extractor."""
    from pixvec.vision.hog_colour import HogColour

    return HogColour("hog-color", _WHOLE)


for _architecture in ARCHITECTURES.values():
    if _architecture.name not in _CANDIDATES:
        _register_network(_architecture)


@register("hog", dim=1764, description="Histograms of oriented gradients: shapes in their places, without colour")
def load_hog(_weights: WeightFile | None) -> Extractor:
    """Return the extractor."""
    from pixvec.vision.handcrafted import Handcrafted, hog_blocks

    return Handcrafted("hog", _WHOLE, hog_blocks)


@register("color-hsv", dim=272, description="Histogram of hue, saturation and value: colours, wherever they are")
def load_color_hsv(_weights: WeightFile | None) -> Extractor:
    """Return the extractor."""
    from pixvec.vision.handcrafted import Handcrafted, hsv_histogram

    return Handcrafted("color-hsv", _WHOLE, hsv_histogram)


@register("color-lab", dim=1944, description="Histogram of Lab colours: as the eye tells them apart, wherever they are")
def load_color_lab(_weights: WeightFile | None) -> Extractor:
    """Return the extractor."""
    from pixvec.vision.handcrafted import Handcrafted, lab_colours

    return Handcrafted("color-lab", _WHOLE, lab_colours)


@register("lbp", dim=270, description="Local binary patterns at three scales: texture, however it is turned")
def load_lbp(_weights: WeightFile | None) -> Extractor:
    """Return the extractor."""
    from pixvec.vision.handcrafted import Handcrafted, lbp_histograms

    return Handcrafted("lbp", _WHOLE, lbp_histograms)


register_family("sift-bow", SiftFamily("sift-bow"))
register_family("sift-vlad", SiftFamily("sift-vlad"))
register_family("timm", TimmFamily())
register_family("checkpoint", CheckpointFamily())
register_family("open_clip", OpenClipFamily())
