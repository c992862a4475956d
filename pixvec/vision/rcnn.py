"""Faster and Mask R-CNN as detectors: pictures in; boxes, masks and vectors out. Imports torch.

Regions of less than the network's own least score, 0.05 as the library has it, are not found whatever is asked; that is
no bound on proposals, where classes are left aside.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.roi_heads import paste_masks_in_image

from pixvec.domain import Mask, RegionEmbedding, RegionSettings
from pixvec.errors import InvalidRequest
from pixvec.vision.detector import Boxes, Detections, clip_boxes
from pixvec.vision.extractor import Vectors
from pixvec.vision.normalise import unit_rows
from pixvec.vision.picture_batches import batches, fitted
from pixvec.vision.preprocess import DetectorPreprocess, Pixels
from pixvec.vision.rcnn_stages import Found, Seen, box_labels, box_vectors, coverage, find, mask_shares, see
from pixvec.vision.run_length import encode_mask


class RcnnDetector:
    """A Detector over a network that is ready to run."""

    def __init__(
        self, name: str, digest: str, preprocess: DetectorPreprocess, classes: Sequence[str], network: GeneralizedRCNN
    ) -> None:
        self.name = name
        self.digest = digest
        self.preprocess = preprocess
        self.classes = tuple(classes)
        self.has_masks: bool = network.roi_heads.has_mask()
        self.dim: int = network.roi_heads.box_predictor.cls_score.in_features
        self._device = next(network.parameters()).device
        self._network = network

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Pixels], settings: RegionSettings) -> list[Detections]:
        """Return what is in each (height, width, 3) uint8 RGB picture, as a Detector does."""
        self._check(settings)
        answers: dict[int, Detections] = {}
        for batch in batches(pictures, self.preprocess):
            seen = self._see([pictures[place] for place in batch])
            found = find(self._network, seen, settings)
            shapes = [pictures[place].shape for place in batch]
            answers.update(zip(batch, self._detections(seen, found, shapes, settings), strict=True))
        return [answers[place] for place in range(len(pictures))]

    @torch.inference_mode()
    def describe_boxes(
        self, pictures: Sequence[Pixels], boxes: Sequence[Boxes], settings: RegionSettings
    ) -> list[Vectors]:
        """Return the box head's (n, dim) vectors of given boxes, one array of them a picture."""
        self._check(settings)
        inside = [clip_boxes(own, *picture.shape[1::-1]) for own, picture in zip(boxes, pictures, strict=True)]
        answers: dict[int, Vectors] = {}
        for batch in batches(pictures, self.preprocess):
            seen = self._see([pictures[place] for place in batch])
            scales = [self._scale(size, pictures[place].shape) for size, place in zip(seen.sizes, batch, strict=True)]
            resized = [self._tensor(inside[place]) * scale for place, scale in zip(batch, scales, strict=True)]
            vectors, _ = self._vectors(seen, resized, None, settings, masks=settings.background_out)
            answers.update(zip(batch, _split(vectors, resized), strict=True))
        return [answers[place] for place in range(len(pictures))]

    def _check(self, settings: RegionSettings) -> None:
        if settings.background_out and not self.has_masks:
            raise InvalidRequest(
                f"{self.name} makes no masks to tell the background by: leave background_out off, or take a Mask R-CNN",
                field="regions.background_out",
            )

    def _see(self, pictures: Sequence[Pixels]) -> Seen:
        resized = [self._tensor(fitted(picture, self.preprocess)) for picture in pictures]
        return see(self._network, [picture.permute(2, 0, 1).float() / 255 for picture in resized])

    def _tensor(self, values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> torch.Tensor:
        return torch.tensor(values).to(self._device)

    def _scale(self, size: tuple[int, int], shape: Sequence[int]) -> torch.Tensor:
        """Return by how much x1, y1, x2 and y2 are larger in the resized picture."""
        height, width = (resized / given for resized, given in zip(size, shape, strict=False))
        return torch.tensor((width, height, width, height), device=self._device)

    def _detections(
        self, seen: Seen, found: Sequence[Found], shapes: Sequence[Sequence[int]], settings: RegionSettings
    ) -> Iterator[Detections]:
        boxes = [each.boxes for each in found]
        labels = None if settings.class_agnostic else torch.cat([each.labels for each in found])
        vectors, shares = self._vectors(seen, boxes, labels, settings, masks=self.has_masks)
        names = ("", *self.classes)
        shares_of = [None] * len(found) if shares is None else torch.split(shares, [len(each) for each in boxes])
        for each, size, shape, own, share in zip(
            found, seen.sizes, shapes, _split(vectors, boxes), shares_of, strict=True
        ):
            given = each.boxes / self._scale(size, shape)
            yield Detections(
                given.cpu().numpy(),
                [names[label] for label in each.labels.tolist()],
                each.scores.cpu().numpy(),
                own,
                None if share is None else _masks(share, given, shape),
            )

    def _vectors(
        self,
        seen: Seen,
        boxes: list[torch.Tensor],
        labels: torch.Tensor | None,
        settings: RegionSettings,
        *,
        masks: bool,
    ) -> tuple[Vectors, torch.Tensor | None]:
        """Return (n, dim) of all pictures' boxes, (n, 0) where none are asked for, and what `mask_shares` says of them.

        Where labels are not known, the likeliest stand for them.
        """
        vectors = shares = None
        if masks:
            known = box_labels(self._network, seen, boxes) if labels is None else labels
            shares = mask_shares(self._network, seen, boxes, known)
        if settings.embedding is RegionEmbedding.ROI:
            weights = coverage(shares) if settings.background_out and shares is not None else None
            vectors = unit_rows(box_vectors(self._network, seen, boxes, weights).float().cpu().numpy())
        return np.zeros((sum(map(len, boxes)), 0), np.float32) if vectors is None else vectors, shares


def _split(vectors: Vectors, boxes: Sequence[torch.Tensor]) -> list[Vectors]:
    return np.split(vectors, np.cumsum([len(each) for each in boxes]))[: len(boxes)]


def _masks(shares: torch.Tensor, boxes: torch.Tensor, shape: Sequence[int]) -> list[Mask]:
    """Return the masks on the grid of the picture that was given; one at a time, as each is as large as the picture."""
    return [
        encode_mask((paste_masks_in_image(share[None], box[None], shape[:2])[0, 0] >= 0.5).cpu().numpy())
        for share, box in zip(shares, boxes, strict=True)
    ]
