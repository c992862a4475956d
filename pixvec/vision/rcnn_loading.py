"""Detectors out of files of weights: torchvision's published ones, and those that somebody trained. Imports torch."""

import torchvision.models
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from pixvec.vision.detector_architectures import DETECTORS, DetectorArchitecture
from pixvec.vision.detector_file import DetectorFile, read_detector
from pixvec.vision.detector_networks import build, ready, renamed
from pixvec.vision.digest import model_digest
from pixvec.vision.preprocess import DetectorPreprocess
from pixvec.vision.rcnn import RcnnDetector
from pixvec.vision.state_dict import assign, read
from pixvec.vision.weights import WeightFile

# Of all detectors' digests: to be raised with any change that moves boxes or vectors.
_VERSION = 1
_POST_PROCESSING = "box head, L2"
_USUAL = DetectorPreprocess()


def load_published(architecture: DetectorArchitecture, weights: WeightFile) -> RcnnDetector:
    """Return the detector of COCO's classes. Raises WeightsUnavailable if the file does not fit."""
    categories = torchvision.models.get_weight(architecture.torchvision_name).meta["categories"]
    file = DetectorFile(read(weights.path), tuple(categories[1:]), architecture.preprocess, None)
    network = _filled(architecture.name, file, weights)
    return _detector(architecture.name, architecture.name, file, ready(network, architecture.norm_eps), weights)


def load_trained(name: str, architecture: str, weights: WeightFile) -> RcnnDetector:
    """Return the detector that somebody trained.

    Raises ModelNotFound for an unknown architecture, WeightsUnavailable if the file is not readable or does not fit.
    """
    known = DETECTORS.get(architecture)
    file = read_detector(weights.path, _USUAL if known is None else known.preprocess)
    network = _filled(architecture, file, weights)
    return _detector(name, f"detector:{architecture}", file, ready(network, None), weights)


def _filled(architecture: str, file: DetectorFile, weights: WeightFile) -> GeneralizedRCNN:
    network = build(architecture, file)
    assign(network, renamed(file.state), weights.path)
    return network


def _detector(
    name: str, identity: str, file: DetectorFile, network: GeneralizedRCNN, weights: WeightFile
) -> RcnnDetector:
    digest = model_digest(identity, _VERSION, weights.sha256, file.preprocess, _POST_PROCESSING)
    return RcnnDetector(name, digest, file.preprocess, file.classes, network)
