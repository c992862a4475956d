"""Detectors that somebody trained are loaded with their own classes, from either kind of file, or refused plainly."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from pixvec.errors import InvalidRequest, ModelNotFound, WeightsUnavailable
from pixvec.vision.detector import Detector
from pixvec.vision.detector_architectures import DETECTORS
from pixvec.vision.detector_networks import renamed
from pixvec.vision.detectors import load_detector
from pixvec.vision.preprocess import DetectorPreprocess
from pixvec.vision.registry import load
from pixvec.vision.weights import DETECTOR_CHECKPOINTS, WeightSource
from tests.detectors import DIM, NAME, SIDE, new_network, write_detector
from tests.one_thread import one_thread
from tests.scenes import SHAPES
from tests.unit.vision.rcnns import ALL, CLASSES, SIDES, load_from, network_of, pixels, stored

ARCHITECTURE = "fasterrcnn_mobilenet_v3_large_fpn"
LOGITS = "roi_heads.box_predictor.cls_score.weight"


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return network_of(ARCHITECTURE)


@pytest.fixture(scope="module")
def small() -> torch.nn.Module:
    """A smaller network of the same classes, whose file is written many times."""
    network = new_network()
    network.roi_heads.box_predictor = FastRCNNPredictor(DIM, len(CLASSES) + 1)
    return network


def saved(values: object, folder: Path) -> Path:
    file = folder / "trained.pth"
    torch.save(values, file)
    return file


def refused(values: object, folder: Path, architecture: str = ARCHITECTURE) -> str:
    with pytest.raises(WeightsUnavailable) as caught:
        load_from(architecture, saved(values, folder))
    assert str(folder) in caught.value.message
    return caught.value.message


def vectors(detector: Detector) -> np.ndarray:
    (found,) = detector.detect([pixels(1)], ALL)
    assert len(found)
    return found.vectors


def test_a_file_of_torch_and_one_of_safetensors_are_one_detector(network: torch.nn.Module, tmp_path: Path) -> None:
    values = stored(network)
    of_torch = load_from(ARCHITECTURE, saved(values, tmp_path))
    file = tmp_path / "trained.safetensors"
    beside = {name: json.dumps(value) for name, value in values.items() if name != "state_dict"}
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file, beside)
    other = load_from(ARCHITECTURE, file)
    assert of_torch.classes == other.classes == CLASSES
    assert of_torch.preprocess == other.preprocess == DetectorPreprocess(*SIDES)
    assert np.allclose(vectors(of_torch), vectors(other), atol=1e-5)
    # Of other bytes.
    assert of_torch.digest != other.digest


def test_classes_may_begin_with_the_background(network: torch.nn.Module, tmp_path: Path) -> None:
    file = saved(stored(network, classes=["__background__", *CLASSES]), tmp_path)
    assert load_from(ARCHITECTURE, file).classes == CLASSES


@pytest.mark.parametrize("key", ["model", "model_state_dict"])
def test_the_weights_may_go_by_the_names_that_training_code_gives_them(
    network: torch.nn.Module, tmp_path: Path, key: str
) -> None:
    values = stored(network)
    values[key] = values.pop("state_dict")
    assert load_from(ARCHITECTURE, saved({**values, "epoch": 3}, tmp_path)).classes == CLASSES


def test_what_a_file_does_not_say_is_as_published(network: torch.nn.Module, tmp_path: Path) -> None:
    file = saved({"state_dict": network.state_dict(), "classes": CLASSES}, tmp_path)
    assert load_from(ARCHITECTURE, file).preprocess == DetectorPreprocess(800, 1333)
    assert load_from("fasterrcnn_mobilenet_v3_large_320_fpn", file).preprocess == DetectorPreprocess(320, 640)


def test_networks_on_resnets_have_the_sizes_of_their_weights(tmp_path: Path) -> None:
    file = tmp_path / "shapes.safetensors"
    write_detector(new_network(), file)
    detector = load_detector(NAME, WeightSource({NAME: file}))
    assert (detector.name, detector.dim, detector.classes) == (NAME, DIM, SHAPES)
    assert detector.preprocess == DetectorPreprocess(SIDE, 2 * SIDE)
    sizes = detector._network.rpn.anchor_generator.sizes  # type: ignore[attr-defined]
    assert [list(level) for level in sizes] == [[16], [32], [48], [64], [96]]


def test_a_file_may_lie_in_the_folder_of_model_files(network: torch.nn.Module, tmp_path: Path) -> None:
    folder = tmp_path / ARCHITECTURE
    folder.mkdir()
    saved(stored(network), folder).rename(folder / "fruit.pth")
    name = f"detector:{ARCHITECTURE}/fruit"
    assert load_detector(name, WeightSource(folder=tmp_path)).name == name


def test_a_file_of_another_hash_than_its_name_says(network: torch.nn.Module, tmp_path: Path) -> None:
    file = saved(stored(network), tmp_path)
    good = file.rename(file.with_name(f"fruit-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"))
    assert load_from(ARCHITECTURE, good).classes == CLASSES
    with pytest.raises(WeightsUnavailable, match="is damaged or was changed"):
        load_from(ARCHITECTURE, good.rename(good.with_name("fruit-0123456789.pth")))


def test_other_weights_are_another_detector(network: torch.nn.Module, tmp_path: Path) -> None:
    digests = [load_from(ARCHITECTURE, saved(stored(network), tmp_path)).digest for _ in range(2)]
    values = stored(network)
    values["state_dict"][LOGITS] = values["state_dict"][LOGITS] + 1e-3  # type: ignore[index]
    assert digests[0] == digests[1] != load_from(ARCHITECTURE, saved(values, tmp_path)).digest


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"classes": None}, "`classes` has to be a list of 2 names, one for each class; there are none"),
        ({"classes": ["apple"]}, "there are 1"),
        ({"classes": ["a", "b", "c", "d"]}, "there are 4"),
        ({"classes": ["apple", ""]}, "a list of texts of 1 to 200 characters"),
        ({"classes": ["apple", 7]}, "a list of texts"),
        ({"min_size": 90_000}, "no picture has sides of 90000"),
        ({"min_size": "wide"}, "invalid literal"),
        ({"anchor_sizes": [[0]]}, "numbers above 0"),
        ({"anchor_sizes": [[]]}, "numbers above 0"),
        ({"anchor_sizes": [[8]], "aspect_ratios": []}, "numbers above 0"),
        ({"anchor_sizes": 8}, "not iterable"),
        ({"anchor_sizes": [[8]] * 4}, "5 lists of equally many sizes"),
        ({"anchor_sizes": [[8], [8, 16], [8], [8], [8]]}, "5 lists of equally many sizes"),
    ],
)
def test_what_stands_beside_the_weights_is_looked_at(
    small: torch.nn.Module, tmp_path: Path, beside: dict[str, object], message: str
) -> None:
    assert message in refused(stored(small, **beside), tmp_path, "fasterrcnn_resnet18_fpn")


def test_anchors_of_an_architecture_that_takes_none(network: torch.nn.Module, tmp_path: Path) -> None:
    values = stored(network, anchor_sizes=[[8], [16], [32], [64], [128]])
    with pytest.raises(WeightsUnavailable, match="networks on ResNets only"):
        load_from(ARCHITECTURE, saved(values, tmp_path))


def test_weights_that_do_not_fit(network: torch.nn.Module, tmp_path: Path) -> None:
    message = refused(stored(network), tmp_path, "fasterrcnn_resnet50_fpn")
    assert "does not hold the weights of this network" in message
    for kind in (network.backbone.state_dict(), {"state_dict": {}}, [1, 2]):
        assert "no weights of a Faster or Mask R-CNN" in refused(kind, tmp_path)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("it was run",))

    assert "could run code" in refused({"state_dict": {}, "classes": Trap()}, tmp_path)


def test_metadata_that_is_no_json(network: torch.nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "trained.safetensors"
    save_file({LOGITS: torch.zeros(3, 8)}, file, {"classes": "apple, pear"})
    with pytest.raises(WeightsUnavailable, match="what stands beside the weights is no JSON"):
        load_from(ARCHITECTURE, file)


def test_an_architecture_that_there_is_not(network: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no detector 'yolo': there are fasterrcnn_resnet50_fpn, .*ResNets"):
        load_from("yolo", saved(stored(network), tmp_path))


def test_a_detector_that_there_is_not() -> None:
    with pytest.raises(ModelNotFound, match=r"no detector 'resnet50': there are .*, and detector:ARCHITECTURE/LABEL"):
        load_detector("resnet50", WeightSource())
    with pytest.raises(InvalidRequest, match="leave the steps after"):
        load_detector("fasterrcnn_resnet50_fpn+flip", WeightSource())
    with pytest.raises(WeightsUnavailable, match="no file for detector:fasterrcnn_resnet50_fpn/none"):
        load_detector("detector:fasterrcnn_resnet50_fpn/none", WeightSource())


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50_fpn", "detector:fasterrcnn_resnet50_fpn/toys"])
def test_a_detector_is_no_model_of_whole_pictures(name: str) -> None:
    with pytest.raises(InvalidRequest, match="finds objects, it makes no vectors of whole pictures"):
        load(name, WeightSource(download=False))


def test_weights_that_are_not_here_are_told_with_the_remedy() -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        load_detector("maskrcnn_resnet50_fpn", WeightSource(download=False))
    assert "`pixvec up --weights maskrcnn_resnet50_fpn=FILE`" in caught.value.message
    assert "hog-color" not in caught.value.message


def test_facts_are_those_of_the_published_weights() -> None:
    for architecture in DETECTORS.values():
        weights = torchvision.models.get_weight(architecture.torchvision_name)
        assert architecture.parameters == weights.meta["num_params"]
        assert architecture.size_bytes / 2**20 == pytest.approx(weights.meta["_file_size"], abs=1)
        assert weights.url.rpartition("/")[2] == architecture.file_name
        assert DETECTOR_CHECKPOINTS[architecture.name].sha256_prefix in weights.url


def test_published_weights_find_the_classes_of_coco(tmp_path: Path) -> None:
    name = "fasterrcnn_resnet50_fpn"
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    file = tmp_path / "weights.pth"
    # As it is published: under the names of then, and without counts of batches.
    state = {older(key): value for key, value in network.state_dict().items() if "num_batches" not in key}
    torch.save(state, file)
    detector = load_detector(name, WeightSource({name: file}))
    assert (detector.name, detector.dim) == (name, 1024)
    assert len(detector.classes) == 90
    assert (detector.classes[0], detector.classes[-1]) == ("person", "toothbrush")
    assert detector.preprocess == DetectorPreprocess()


def older(name: str) -> str:
    if name.startswith("backbone.fpn."):
        return re.sub(r"\.0\.(weight|bias)$", r".\1", name)
    return name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("backbone.fpn.inner_blocks.2.weight", "backbone.fpn.inner_blocks.2.0.weight"),
        ("backbone.fpn.layer_blocks.0.bias", "backbone.fpn.layer_blocks.0.0.bias"),
        ("rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
        ("roi_heads.mask_head.mask_fcn1.weight", "roi_heads.mask_head.0.0.weight"),
        ("roi_heads.mask_head.mask_fcn4.bias", "roi_heads.mask_head.3.0.bias"),
        ("backbone.fpn.inner_blocks.2.0.weight", "backbone.fpn.inner_blocks.2.0.weight"),
        ("backbone.body.layer1.0.conv1.weight", "backbone.body.layer1.0.conv1.weight"),
        ("rpn.head.cls_logits.weight", "rpn.head.cls_logits.weight"),
    ],
)
def test_what_older_files_call_their_weights(then: str, now: str) -> None:
    assert list(renamed({then: torch.zeros(1)})) == [now]
