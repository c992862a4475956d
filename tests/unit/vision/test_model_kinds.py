"""Every model is listed with what kind it is, detectors too, and whether texts can be searched for with it."""

from pathlib import Path

import pytest

from pixvec.domain import ModelKind
from pixvec.vision.detectors import describe_detectors, is_detector
from pixvec.vision.registry import describe
from pixvec.vision.weights import DETECTOR_CHECKPOINTS, WeightSource

OFFLINE = WeightSource(download=False)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("resnet50", ModelKind.NETWORK),
        ("timm:NAME", ModelKind.NETWORK),
        ("open_clip:NAME", ModelKind.CROSS_MODAL),
        ("hog-color", ModelKind.HANDCRAFTED),
        ("sift-vlad:NAME", ModelKind.HANDCRAFTED),
    ],
)
def test_models_are_of_a_kind(name: str, kind: ModelKind) -> None:
    described = {info.name: info for info in describe(OFFLINE)}
    assert described[name].kind is kind
    assert described[name].takes_text == (kind is ModelKind.CROSS_MODAL)


def test_detectors_are_listed_with_what_is_here_of_their_weights(tmp_path: Path) -> None:
    own = tmp_path / "own.pth"
    own.write_bytes(b"weights")
    files = {"fasterrcnn_resnet50_fpn": own, "detector:fasterrcnn_resnet50_fpn/toys": own}
    described = {info.name: info for info in describe_detectors(WeightSource(files, download=False))}
    assert set(DETECTOR_CHECKPOINTS) < set(described)
    assert all(info.kind is ModelKind.DETECTOR and is_detector(name) for name, info in described.items())
    assert {name for name, info in described.items() if info.available} == set(files)
    published = described["fasterrcnn_resnet50_fpn"]
    assert (published.dim, published.source) == (1024, "torchvision")
    # Published in single precision.
    assert published.size_bytes == pytest.approx(4 * published.parameters, rel=0.05)
    assert "--weights" in described["detector:NAME"].detail
