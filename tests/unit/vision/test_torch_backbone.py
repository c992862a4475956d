"""The networks as extractors: the vectors of torchvision's own network, however the pictures are batched."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from pixvec.errors import WeightsUnavailable
from pixvec.vision.architectures import ARCHITECTURES
from pixvec.vision.extractor import Extractor
from pixvec.vision.preprocess import Preprocess
from pixvec.vision.registry import describe, load
from pixvec.vision.weights import CHECKPOINTS, WeightSource
from tests.one_thread import one_thread
from tests.pictures import make_picture

NAME = "mobilenet_v3_small"
# Half precision, where the machine has it, agrees with single precision to this cosine.
ALIKE = 0.999


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torchvision.models.get_model(NAME, weights=None).eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / f"{NAME}.pth"
    torch.save(network().state_dict(), file)
    return file


@pytest.fixture(scope="module")
def model(file: Path) -> Extractor:
    return load(NAME, WeightSource({NAME: file}))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    preprocess = Preprocess(256, 224)
    return np.stack([preprocess.apply(make_picture(seed)) for seed in range(5)])


def test_vectors_have_the_registered_length_and_norm_one(model: Extractor, pixels: np.ndarray) -> None:
    vectors = model.embed(pixels)
    registered = {info.name: info.dim for info in describe(WeightSource())}[NAME]
    assert (vectors.shape, vectors.dtype, model.dim) == ((5, registered), np.float32, registered)
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_batch_gives_each_picture_what_it_gets_alone(model: Extractor, pixels: np.ndarray) -> None:
    together = model.embed(pixels)
    alone = np.concatenate([model.embed(pixels[row : row + 1]) for row in range(len(pixels))])
    assert (together * alone).sum(axis=1).min() > ALIKE
    # Random weights put all pictures close together: each must still be nearest to itself.
    assert (together @ alone.T).argmax(axis=1).tolist() == list(range(len(pixels)))


def test_the_same_pictures_give_the_same_vectors(model: Extractor, pixels: np.ndarray) -> None:
    assert np.array_equal(model.embed(pixels), model.embed(pixels))


def test_no_pictures_give_no_vectors(model: Extractor) -> None:
    vectors = model.embed(np.zeros((0, 224, 224, 3), np.uint8))
    assert (vectors.shape, vectors.dtype) == ((0, model.dim), np.float32)


@pytest.mark.parametrize(
    "view",
    [lambda pixels: pixels[:, :, ::-1], lambda pixels: pixels.transpose(0, 2, 1, 3), lambda pixels: pixels[::2]],
    ids=["mirrored", "transposed", "every second"],
)
def test_pixels_may_lie_in_any_order_and_be_read_only(model: Extractor, pixels: np.ndarray, view) -> None:
    shown = view(pixels)
    shown.flags.writeable = False
    before = pixels.copy()
    assert np.array_equal(model.embed(shown), model.embed(np.ascontiguousarray(shown)))
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("steps", ["+flip", "+crops", "+flip+crops"])
def test_a_network_is_averaged_over_views_as_any_model_is(file: Path, steps: str) -> None:
    model = load(NAME + steps, WeightSource({NAME: file}))
    shown = np.stack([model.preprocess.apply(make_picture(seed)) for seed in range(2)])
    assert np.linalg.norm(model.embed(shown), axis=1) == pytest.approx(1, abs=1e-5)
    if "flip" in steps:
        mirrored = model.embed(np.ascontiguousarray(shown[:, :, ::-1]))
        assert (model.embed(shown) * mirrored).sum(axis=1).min() > ALIKE


def test_vectors_are_those_of_torchvisions_network_after_its_own_transforms(
    model: Extractor, pixels: np.ndarray
) -> None:
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        pooled = network().features((scaled - mean) / std).mean((2, 3))
    truth = torch.nn.functional.normalize(pooled).numpy()
    assert (model.embed(pixels) * truth).sum(axis=1).min() > ALIKE


def test_the_pixels_are_taken_as_torchvisions_published_transforms_take_them() -> None:
    for name, checkpoint in CHECKPOINTS.items():
        transforms = torchvision.models.get_weight(checkpoint.torchvision_name).transforms()
        expected = ARCHITECTURES[name].preprocess
        assert (transforms.resize_size, transforms.crop_size) == ([expected.resize], [expected.crop])
        assert transforms.mean == [0.485, 0.456, 0.406]
        assert transforms.std == [0.229, 0.224, 0.225]
        assert transforms.interpolation.value == expected.interpolation


def test_sizes_are_those_of_the_published_weights() -> None:
    for architecture in ARCHITECTURES.values():
        meta = torchvision.models.get_weight(architecture.torchvision_name).meta
        assert architecture.parameters == meta["num_params"]
        assert architecture.size_bytes / 2**20 == pytest.approx(meta["_file_size"], abs=1)


def test_the_file_that_is_downloaded_is_the_one_looked_for() -> None:
    for checkpoint in CHECKPOINTS.values():
        url = torchvision.models.get_weight(checkpoint.torchvision_name).url
        assert url.rpartition("/")[2] == checkpoint.file_name


def test_other_weights_are_another_model(model: Extractor, file: Path, tmp_path: Path) -> None:
    again = load(NAME, WeightSource({NAME: file}))
    assert (again.digest, again.preprocess) == (model.digest, Preprocess(256, 224))
    state = torch.load(file, weights_only=True)
    state["features.0.0.weight"] = state["features.0.0.weight"] + 1e-3
    other = tmp_path / file.name
    torch.save(state, other)
    assert load(NAME, WeightSource({NAME: other})).digest != model.digest


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), file)
    with pytest.raises(WeightsUnavailable, match=r"other\.pth does not hold the weights of this network"):
        load(NAME, WeightSource({NAME: file}))


def test_the_large_network_gives_vectors_of_its_registered_length(tmp_path: Path) -> None:
    with torch.device("meta"):
        empty = torchvision.models.resnet50()
    # Shapes are what matters here, and all weights alike are made at once.
    state = {name: torch.full(value.shape, 0.01) for name, value in empty.state_dict().items()}
    file = tmp_path / "resnet50.pth"
    torch.save(state, file)
    model = load("resnet50", WeightSource({"resnet50": file}))
    registered = {info.name: info.dim for info in describe(WeightSource())}["resnet50"]
    assert model.dim == registered == 2048
    assert model.preprocess == Preprocess(232, 224)
