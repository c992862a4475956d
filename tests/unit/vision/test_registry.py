"""Models are found by name; `auto` takes the best that can be had and says what it passed over."""

import subprocess
import sys
from pathlib import Path

import pytest

from pixvec.errors import ModelNotFound, WeightsUnavailable
from pixvec.vision import weights
from pixvec.vision.download import HostUnreachable
from pixvec.vision.registry import describe, load, resolve_auto
from pixvec.vision.weights import CHECKPOINTS, WeightSource, cache_path
from tests.unit.vision.published import Host

OFFLINE = WeightSource(download=False)
CANDIDATES = ["resnet50", "mobilenet_v3_small", "hog-color"]
DIMENSIONS = {
    "resnet50": 2048,
    "mobilenet_v3_small": 576,
    "hog-color": 2488,
    "resnet18": 512,
    "resnet34": 512,
    "resnet101": 2048,
    "mobilenet_v3_large": 960,
    "efficientnet_b0": 1280,
    "efficientnet_v2_s": 1280,
    "convnext_tiny": 768,
    "convnext_base": 1024,
    "vit_b_16": 768,
    "vit_l_16": 1024,
    "hog": 1764,
    "color-hsv": 272,
    "color-lab": 1944,
    "lbp": 270,
}
FAMILIES = ["sift-bow:NAME", "sift-vlad:NAME", "timm:NAME", "checkpoint:NAME", "open_clip:NAME"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.pth"
    file.write_bytes(b"weights")
    return file


def test_the_models_there_are_the_best_first() -> None:
    described = describe(OFFLINE)
    assert [info.name for info in described] == [*DIMENSIONS, *FAMILIES]
    assert {info.name: info.dim for info in described if info.dim} == DIMENSIONS
    assert [info.name for info in described if info.is_candidate] == CANDIDATES
    assert all(info.description and info.detail and info.source and info.licence for info in described)


def test_networks_are_listed_with_their_size() -> None:
    described = {info.name: info for info in describe(OFFLINE)}
    for name in CHECKPOINTS:
        info = described[name]
        # Published in single precision.
        assert info.size_bytes == pytest.approx(4 * info.parameters, rel=0.05)
    assert described["hog"].parameters == described["hog"].size_bytes == 0


def test_what_was_named_in_a_family_is_listed_with_its_file(own: Path) -> None:
    files = {"timm:resnet18": own, "open_clip:local-dir:small": own.with_name("gone")}
    described = {info.name: info for info in describe(WeightSource(files, download=False))}
    assert (described["timm:resnet18"].available, described["timm:resnet18"].size_bytes) == (True, len(b"weights"))
    assert str(own) in described["timm:resnet18"].detail
    assert not described["open_clip:local-dir:small"].available
    assert "gone is not there" in described["open_clip:local-dir:small"].detail


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ModelNotFound, match=r"'resnet51': there are resnet50, mobilenet_v3_small, .* timm:NAME, .*, and auto"
    ) as caught:
        load("resnet51", OFFLINE)
    assert caught.value.field == "model"


def test_a_model_without_weights_is_loaded_by_its_name() -> None:
    model = load("hog-color", OFFLINE)
    assert (model.name, model.dim, len(model.digest)) == ("hog-color", 2488, 64)


def test_a_model_whose_weights_cannot_be_had_is_not_replaced_by_another() -> None:
    with pytest.raises(WeightsUnavailable, match="no weights for mobilenet_v3_small"):
        load("mobilenet_v3_small", OFFLINE)


def test_what_is_said_of_weights_that_are_not_here() -> None:
    place = cache_path(CHECKPOINTS["resnet50"])
    for source, beginning in ((OFFLINE, "put"), (WeightSource(), "its weights will be downloaded on first use")):
        described = {info.name: info for info in describe(source)}
        assert described["hog-color"].available
        assert not described["resnet50"].available
        assert described["resnet50"].detail.startswith(beginning)
        assert f"put resnet50-11ad3fa6.pth at {place}" in described["resnet50"].detail
        assert "--weights resnet50=FILE" in described["resnet50"].detail


def test_what_is_said_of_weights_that_are_here(own: Path) -> None:
    described = {info.name: info for info in describe(WeightSource({"resnet50": own}))}
    assert described["resnet50"].available
    assert str(own) in described["resnet50"].detail
    assert not described["mobilenet_v3_small"].available


def test_a_named_file_that_is_missing_is_described_and_not_raised(tmp_path: Path) -> None:
    described = {info.name: info for info in describe(WeightSource({"resnet50": tmp_path / "gone.pth"}))}
    assert not described["resnet50"].available
    assert "gone.pth is not a file" in described["resnet50"].detail


def test_auto_takes_the_best_whose_weights_are_here(own: Path) -> None:
    name, reason = resolve_auto(WeightSource({"resnet50": own}, download=False))
    assert name == "resnet50"
    assert reason == f"resnet50 is the best model whose weights are here ({own})."


def test_auto_says_what_it_passed_over(own: Path) -> None:
    name, reason = resolve_auto(WeightSource({"mobilenet_v3_small": own}, download=False))
    assert name == "mobilenet_v3_small"
    assert "passed over: resnet50: there is no such file, and downloads are off" in reason


def test_auto_ends_at_the_model_that_needs_no_weights() -> None:
    name, reason = resolve_auto(OFFLINE)
    assert name == "hog-color"
    assert reason.startswith("hog-color needs no weights; passed over: resnet50: ")
    assert "mobilenet_v3_small: " in reason


def test_auto_does_not_ask_a_host_twice_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(HostUnreachable("no answer"))
    monkeypatch.setattr(weights, "download", host)
    assert resolve_auto(WeightSource())[0] == "hog-color"
    assert len(host.asked) == 1


def test_auto_asks_for_the_next_file_where_only_one_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(OSError("404"), b"weights")
    monkeypatch.setattr(weights, "download", host)
    name, reason = resolve_auto(WeightSource())
    assert name == "mobilenet_v3_small"
    assert "resnet50: there is no such file, and the download failed: 404" in reason


def test_auto_does_not_pass_over_a_named_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"gone\.pth is not a file"):
        resolve_auto(WeightSource({"resnet50": tmp_path / "gone.pth"}))


def test_asking_what_there_is_and_decoding_load_no_model_library() -> None:
    asking = (
        "import sys, pixvec.vision.decode, pixvec.vision.registry as registry\n"
        "from pixvec.vision.weights import WeightSource\n"
        "registry.describe(WeightSource())\n"
        "registry.resolve_auto(WeightSource(download=False))\n"
        "heavy = {'torch', 'torchvision', 'skimage', 'timm', 'open_clip', 'cv2', 'faiss', 'scipy'}\n"
        "print(*sorted(heavy & sys.modules.keys()))\n"
    )
    answer = subprocess.run([sys.executable, "-c", asking], check=True, capture_output=True, text=True)
    assert answer.stdout.split() == []


def test_a_model_takes_none_of_the_libraries_of_the_others() -> None:
    loading = (
        "import sys, pixvec.vision.registry as registry\n"
        "from pixvec.vision.weights import WeightSource\n"
        "for name in ('hog-color', 'lbp+flip'):\n"
        "    registry.load(name, WeightSource(download=False))\n"
        "heavy = {'torch', 'torchvision', 'timm', 'open_clip', 'cv2', 'faiss'}\n"
        "print(*sorted(heavy & sys.modules.keys()))\n"
    )
    answer = subprocess.run([sys.executable, "-c", loading], check=True, capture_output=True, text=True)
    assert answer.stdout.split() == []
