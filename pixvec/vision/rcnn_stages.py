"""The stages of a Faster or Mask R-CNN, one by one, where the library's own call gives less than is needed here:
proposals with their objectness, and the box head's vectors of final boxes. Imports torch.

Ren et al., Faster R-CNN, 2015. Vectors of final boxes: as bottom-up attention takes them (Anderson et al., 2018), from
the last layer before the classes. Background left out: Dai, He and Sun, Convolutional feature masking, 2015.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import nms

from pixvec.domain import RegionSettings

# Proposals that overlap more show one object: the library's own threshold lets anchors of other levels through.
_SAME_OBJECT = 0.5
# Along each side of a region, in what the box head is given.
_CELLS = 7


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures of one batch in the network: its feature maps, and (height, width) of each as it was resized."""

    images: ImageList
    features: Mapping[str, torch.Tensor]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Return the sizes in pixels of the resized pictures."""
        sizes: list[tuple[int, int]] = self.images.image_sizes
        return sizes


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes in one resized picture, the best score first. `labels`: 0 where classes are left aside."""

    boxes: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor


def see(network: GeneralizedRCNN, pictures: Sequence[torch.Tensor]) -> Seen:
    """Resize and normalise (3, height, width) pictures in [0, 1], and make their feature maps."""
    images, _ = network.transform(list(pictures))
    return Seen(images, network.backbone(images.tensors))


def find(network: GeneralizedRCNN, seen: Seen, settings: RegionSettings) -> list[Found]:
    """Return what each picture holds, within the settings' limits."""
    proposals, objectness = _propose(network, seen)
    if settings.class_agnostic:
        found = [_apart(boxes, scores) for boxes, scores in zip(proposals, objectness, strict=True)]
    else:
        logits, deltas = network.roi_heads.box_predictor(box_vectors(network, seen, proposals))
        boxes, scores, labels = network.roi_heads.postprocess_detections(logits, deltas, proposals, seen.sizes)
        found = [Found(*each) for each in zip(boxes, scores, labels, strict=True)]
    return [_within_limits(each, size, settings) for each, size in zip(found, seen.sizes, strict=True)]


def box_vectors(
    network: GeneralizedRCNN, seen: Seen, boxes: list[torch.Tensor], coverage: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the box head's (n, dim) of all pictures' boxes, one picture after the other.

    `coverage`: (n, 1, 7, 7), how much of each cell is the object; the rest does not count.
    """
    pooled = network.roi_heads.box_roi_pool(seen.features, boxes, seen.sizes)
    vectors: torch.Tensor = network.roi_heads.box_head(pooled if coverage is None else pooled * coverage)
    return vectors


def box_labels(network: GeneralizedRCNN, seen: Seen, boxes: list[torch.Tensor]) -> torch.Tensor:
    """Return the likeliest label that is not the background's, of each of all pictures' boxes in order."""
    logits, _ = network.roi_heads.box_predictor(box_vectors(network, seen, boxes))
    labels: torch.Tensor = logits[:, 1:].argmax(dim=1) + 1
    return labels


def mask_shares(network: GeneralizedRCNN, seen: Seen, boxes: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """Return (n, 1, 28, 28): how likely each part of each box is its object, of all pictures' boxes in order."""
    pooled = network.roi_heads.mask_roi_pool(seen.features, boxes, seen.sizes)
    logits = network.roi_heads.mask_predictor(network.roi_heads.mask_head(pooled))
    own: torch.Tensor = logits[torch.arange(len(labels), device=logits.device), labels][:, None]
    return own.sigmoid()


def coverage(shares: torch.Tensor) -> torch.Tensor:
    """Return (n, 1, 7, 7): how much of each cell of the box is the object; 1 all over where nothing is."""
    covered = torch.nn.functional.adaptive_avg_pool2d((shares >= 0.5).to(shares.dtype), _CELLS)
    return torch.where(covered.amax(dim=(2, 3), keepdim=True) > 0, covered, torch.ones_like(covered))


def _propose(network: GeneralizedRCNN, seen: Seen) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return each picture's proposals and their objectness in [0, 1], as `RegionProposalNetwork.forward` makes them."""
    rpn, maps = network.rpn, list(seen.features.values())
    objectness, deltas = rpn.head(maps)
    anchors = rpn.anchor_generator(seen.images, maps)
    anchors_per_level = [level[0].numel() for level in objectness]
    objectness, deltas = concat_box_prediction_layers(objectness, deltas)
    boxes = rpn.box_coder.decode(deltas, anchors).view(len(anchors), -1, 4)
    proposals, scores = rpn.filter_proposals(boxes, objectness, seen.sizes, anchors_per_level)
    return proposals, scores


def _apart(boxes: torch.Tensor, scores: torch.Tensor) -> Found:
    kept = nms(boxes, scores, _SAME_OBJECT)
    return Found(boxes[kept], scores[kept], torch.zeros_like(kept))


def _within_limits(found: Found, size: tuple[int, int], settings: RegionSettings) -> Found:
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    shares = sides.prod(dim=1) / (size[0] * size[1])
    kept = (found.scores >= settings.min_score) & (shares >= settings.min_area_share)
    first = kept.nonzero()[: settings.max_regions, 0]
    return Found(found.boxes[first], found.scores[first], found.labels[first])
