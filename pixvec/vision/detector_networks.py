"""The networks of torchvision that detect, built to fit the weights they are given. Imports torch.

Beside those of torchvision by name, any Faster or Mask R-CNN on one of its ResNets with a feature pyramid
(`fasterrcnn_resnet18_fpn`): the widths of its pyramid and of its box head, its anchors and its classes are as many as
the weights have.

Ren et al., Faster R-CNN, 2015; Lin et al., Feature pyramid networks, 2017; He et al., Mask R-CNN, 2017.
"""

import re
from collections.abc import Mapping

import torch
import torchvision.models
from torch.fx.experimental.optimization import fuse
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from pixvec.errors import ModelNotFound, WeightsUnavailable
from pixvec.vision.detector import MOST_REGIONS
from pixvec.vision.detector_architectures import DETECTORS
from pixvec.vision.detector_file import Anchors, DetectorFile
from pixvec.vision.half_precision import InHalf
from pixvec.vision.torch_backbone import fastest_dtype

_ON_RESNET = re.compile(r"(?P<kind>fasterrcnn|maskrcnn)_(?P<backbone>resnet(?:18|34|50|101|152))_fpn")
_LAYERS = (1, 2, 3, 4)
# As `RPNHead`, `FeaturePyramidNetwork` and `MaskRCNNHeads` rename what older files have.
_RENAMED = (
    (re.compile(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$"), r"\1.0.\2"),
    (re.compile(r"^(rpn\.head\.conv)\.(weight|bias)$"), r"\1.0.0.\2"),
)
_MASK_LAYER = re.compile(r"^(roi_heads\.mask_head)\.mask_fcn(\d+)\.(weight|bias)$")


def build(name: str, file: DetectorFile) -> GeneralizedRCNN:
    """Return the network with weights of chance, of the sizes that the file's weights have.

    Raises ModelNotFound, and WeightsUnavailable for anchors that the architecture does not take.
    """
    options = {
        "min_size": file.preprocess.min_size,
        "max_size": file.preprocess.max_size,
        "box_detections_per_img": MOST_REGIONS,
    }
    on_resnet = _ON_RESNET.fullmatch(name)
    if on_resnet:
        return _on_resnet(on_resnet["kind"], on_resnet["backbone"], file, options)
    if name not in DETECTORS:
        raise ModelNotFound(
            f"no detector {name!r}: there are {', '.join(DETECTORS)}, and fasterrcnn_NAME_fpn and maskrcnn_NAME_fpn"
            " for the ResNets of torchvision",
            field="model",
        )
    if file.anchors is not None:
        raise WeightsUnavailable(
            f"{name} has anchors of its own: leave anchor_sizes out of its file; they can be told of networks on "
            "ResNets only, fasterrcnn_NAME_fpn and maskrcnn_NAME_fpn"
        )
    labels = len(file.classes) + 1
    network: GeneralizedRCNN = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=labels, **options
    )
    return network


def renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights under the names that the library has for them now."""
    return {_renamed(name): value for name, value in state.items()}


def ready(network: GeneralizedRCNN, norm_eps: float | None) -> GeneralizedRCNN:
    """Make a network that has its weights ready to run, on a GPU if there is one.

    Its batch norms become part of the convolutions before them; what takes most of the time is in half precision where
    the hardware has that. `norm_eps`: what its norms were trained with, None for the library's own value.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and norm_eps is not None:
            module.eps = norm_eps
    network.eval().requires_grad_(False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = fastest_dtype(device)
    heads = network.roi_heads
    network.backbone = InHalf(fuse(network.backbone), dtype)
    network.rpn.head = InHalf(network.rpn.head, dtype)
    heads.box_head = InHalf(fuse(heads.box_head), dtype)
    if heads.has_mask():
        heads.mask_head = InHalf(fuse(heads.mask_head), dtype)
    return network.to(device)


def _on_resnet(kind: str, backbone: str, file: DetectorFile, options: dict[str, int]) -> GeneralizedRCNN:
    body = torchvision.models.get_model(backbone, weights=None)
    channels = [body.inplanes // 2 ** (4 - layer) for layer in _LAYERS]
    width = _size(file, "rpn.head.cls_logits.weight", 1, 256)
    dim = _size(file, "roi_heads.box_predictor.cls_score.weight", 1, 1024)
    pyramid = BackboneWithFPN(
        body, {f"layer{layer}": str(place) for place, layer in enumerate(_LAYERS)}, channels, width
    )
    labels = len(file.classes) + 1
    heads = {
        "rpn_anchor_generator": _anchors(file.anchors),
        "box_head": TwoMLPHead(width * 7**2, dim),
        "box_predictor": FastRCNNPredictor(dim, labels),
    }
    if kind == "fasterrcnn":
        return FasterRCNN(pyramid, **heads, **options)
    return MaskRCNN(pyramid, mask_predictor=MaskRCNNPredictor(256, 256, labels), **heads, **options)


def _size(file: DetectorFile, weight: str, axis: int, usual: int) -> int:
    value = file.state.get(weight)
    return usual if value is None or value.ndim <= axis else value.shape[axis]


def _anchors(anchors: Anchors | None) -> AnchorGenerator | None:
    """Return None for the library's own."""
    if anchors is None:
        return None
    return AnchorGenerator(anchors.sizes, (anchors.aspect_ratios,) * len(anchors.sizes))


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    # Counted from 1 before, from 0 now.
    return _MASK_LAYER.sub(lambda found: f"{found[1]}.{int(found[2]) - 1}.0.{found[3]}", name)
