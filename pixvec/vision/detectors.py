"""Every detector by name. Importing this, and asking what there is, takes no model library with it.

A name is one of torchvision's, or `detector:ARCHITECTURE[/LABEL]` for one that somebody trained (see `detector_file`).
"""

from pixvec.domain import ModelKind
from pixvec.errors import InvalidRequest, ModelNotFound
from pixvec.vision import weights as weight_files
from pixvec.vision.detector import Detector
from pixvec.vision.detector_architectures import DETECTORS, DetectorArchitecture
from pixvec.vision.model_families import listed
from pixvec.vision.model_files import weight_file
from pixvec.vision.model_name import parse
from pixvec.vision.registry import ModelInfo, availability
from pixvec.vision.weights import DETECTOR_CHECKPOINTS, DETECTOR_FAMILY, WeightSource


def is_detector(name: str) -> bool:
    """Whether a model's name is a detector's."""
    family, _, _ = name.partition(":")
    return name in DETECTORS or family == DETECTOR_FAMILY


def load_detector(name: str, weights: WeightSource) -> Detector:
    """Return the detector, ready.

    Raises ModelNotFound, InvalidRequest for a name with steps, or WeightsUnavailable with the remedy.
    """
    parsed = parse(name)
    if not is_detector(parsed.base):
        raise ModelNotFound(
            f"no detector {parsed.base!r}: there are {', '.join(DETECTORS)}, and {DETECTOR_FAMILY}:ARCHITECTURE/LABEL",
            field="regions.detector",
        )
    if str(parsed) != parsed.base:
        raise InvalidRequest(f"{parsed.base} finds objects: leave the steps after + out", field="regions.detector")
    if parsed.base in DETECTORS:
        file = weight_files.obtain(DETECTOR_CHECKPOINTS[parsed.base], weights)
        # Here, because it takes torch with it.
        from pixvec.vision.rcnn_loading import load_published

        return load_published(DETECTORS[parsed.base], file)
    file = weight_file(parsed.base, parsed.family[1], weights)
    from pixvec.vision.rcnn_loading import load_trained

    return load_trained(parsed.base, parsed.family[1].partition("/")[0], file)


def describe_detectors(weights: WeightSource) -> list[ModelInfo]:
    """Return all detectors, with what is here of their weights. `dim`: of a region's vector. Fetches nothing."""
    published = [_described(each, weights) for each in DETECTORS.values()]
    description = "A Faster or Mask R-CNN that somebody trained, from its file"
    remedy = f"start with `pixvec up --weights {DETECTOR_FAMILY}:ARCHITECTURE/LABEL=FILE`"
    kind = ModelKind.DETECTOR
    owned = listed(
        DETECTOR_FAMILY, weights, description, "a file", "the file's own", remedy, needs="torchvision", kind=kind
    )
    return [*published, *owned]


def _described(architecture: DetectorArchitecture, weights: WeightSource) -> ModelInfo:
    available, detail = availability(DETECTOR_CHECKPOINTS[architecture.name], weights)
    return ModelInfo(
        architecture.name,
        architecture.dim,
        architecture.description,
        available,
        detail,
        architecture.parameters,
        architecture.size_bytes,
        "torchvision",
        "BSD-3-Clause; trained on COCO",
        kind=ModelKind.DETECTOR,
    )
