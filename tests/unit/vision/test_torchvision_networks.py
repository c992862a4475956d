"""Every network of torchvision gives what its own code has before the classifier, or the pooling that was asked for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from pixvec.errors import InvalidRequest, WeightsUnavailable
from pixvec.vision import torchvision_networks
from pixvec.vision.architectures import ARCHITECTURES
from pixvec.vision.model_name import Pooling, PoolingChoice
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.one_thread import one_thread
from tests.unit.vision.networks import cosines, normalised, saved, settled, squares

# Half precision, where the machine has it, agrees with single precision to this cosine.
ALIKE = 0.999
SMALL = "resnet18"
KINDS = (Pooling.AVERAGE, Pooling.CLS)


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return torchvision.models.get_model(name, weights=None)


@pytest.fixture(scope="module")
def small() -> torch.nn.Module:
    return settled(network(SMALL))


@pytest.fixture(scope="module")
def file(small: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(small, tmp_path_factory.mktemp("weights") / f"{SMALL}.pth")


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny", "vit_b_16"])
def test_vectors_are_what_the_classifier_would_be_given(name: str, tmp_path: Path) -> None:
    whole = network(name).eval() if name == "vit_b_16" else settled(network(name))
    model = load(name, WeightSource({name: saved(whole, tmp_path / "weights.pth")}))
    pixels = squares(model.preprocess)
    for head in ARCHITECTURES[name].head:
        whole.set_submodule(head, torch.nn.Identity())
    with torch.inference_mode():
        truth = whole(normalised(pixels)).flatten(1)
    assert cosines(model.embed(pixels), truth).min() > ALIKE
    assert (model.name, model.dim) == (name, ARCHITECTURES[name].dim)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_gives_vectors_of_its_registered_length(name: str) -> None:
    architecture = ARCHITECTURES[name]
    bare = torchvision_networks.without_head(architecture)
    run = torchvision_networks.pooled(bare, torchvision_networks.pool_of(architecture, None, None))
    side = architecture.preprocess.crop
    assert run(torch.empty(2, 3, side, side, device="meta")).shape == (2, architecture.dim)


def test_gem_is_the_mean_of_powers(file: Path, small: torch.nn.Module) -> None:
    model = load(f"{SMALL}+gem:4", WeightSource({SMALL: file}))
    pixels = squares(model.preprocess)
    with torch.inference_mode():
        features = torchvision_networks.pooled(_bare(small), _Keep())(normalised(pixels))
        truth = features.clamp(min=1e-6).pow(4).mean((2, 3)).pow(1 / 4)
    assert cosines(model.embed(pixels), truth).min() > ALIKE
    assert model.name == f"{SMALL}+gem:4"


def test_each_pooling_is_a_model_of_its_own(file: Path) -> None:
    source = WeightSource({SMALL: file})
    named = {text: load(SMALL + text, source) for text in ("", "+avg", "+gem", "+gem:3", "+gem:4")}
    digests = {text: model.digest for text, model in named.items()}
    # What is asked for by name and what is taken without are the same vectors.
    assert digests[""] == digests["+avg"]
    assert digests["+gem"] == digests["+gem:3"]
    assert len(set(digests.values())) == 3


def test_gem_with_power_one_is_the_average_of_what_is_above_zero(file: Path) -> None:
    source = WeightSource({SMALL: file})
    average, gem = load(SMALL, source), load(f"{SMALL}+gem:1", source)
    pixels = squares(average.preprocess)
    assert (average.embed(pixels) * gem.embed(pixels)).sum(axis=1).min() > ALIKE


def test_an_exponent_that_was_learned_is_taken_from_the_file(small: torch.nn.Module, tmp_path: Path) -> None:
    learned = tmp_path / "learned.pth"
    torch.save({**small.state_dict(), "pool.p": torch.tensor([5.0])}, learned)
    source = WeightSource({SMALL: learned})
    pixels = squares(load(SMALL, source).preprocess)
    default, asked, five = (load(SMALL + text, source).embed(pixels) for text in ("", "+gem", "+gem:5"))
    assert np.array_equal(default, five)
    assert np.array_equal(asked, five)
    assert not np.array_equal(load(f"{SMALL}+avg", source).embed(pixels), five)


def test_a_learned_exponent_of_nonsense_is_refused(small: torch.nn.Module, tmp_path: Path) -> None:
    torch.save({**small.state_dict(), "pool.p": torch.tensor([-1.0])}, tmp_path / "wrong.pth")
    with pytest.raises(WeightsUnavailable, match=r"exponent pool\.p is -1, not above 0"):
        load(SMALL, WeightSource({SMALL: tmp_path / "wrong.pth"}))


def test_a_network_without_tokens_has_no_cls_token(file: Path) -> None:
    with pytest.raises(InvalidRequest, match="resnet18 has no CLS token: choose avg or gem"):
        load(f"{SMALL}+cls", WeightSource({SMALL: file}))


def test_tokens_are_averaged_without_the_first_and_have_no_gem() -> None:
    architecture = ARCHITECTURES["vit_b_16"]
    tokens = torch.arange(24.0).reshape(2, 4, 3)
    average, cls = (torchvision_networks.pool_of(architecture, PoolingChoice(kind), None) for kind in KINDS)
    assert torch.equal(average(tokens), tokens[:, 1:].mean(1))
    assert torch.equal(cls(tokens), tokens[:, 0])
    with pytest.raises(InvalidRequest, match="no feature map"):
        torchvision_networks.pool_of(architecture, PoolingChoice(Pooling.GEM), None)


def test_weights_of_another_size_are_told_by_the_first_that_does_not_fit(tmp_path: Path) -> None:
    file = saved(network("resnet34"), tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailable, match=r"layer1\.2\.conv1\.weight is unexpected"):
        load(SMALL, WeightSource({SMALL: file}))


class _Keep(torch.nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def _bare(whole: torch.nn.Module) -> torch.nn.Module:
    bare = torchvision_networks.without_head(ARCHITECTURES[SMALL])
    state = {name: value for name, value in whole.state_dict().items() if not name.startswith("fc.")}
    bare.load_state_dict(state, assign=True)
    return bare
