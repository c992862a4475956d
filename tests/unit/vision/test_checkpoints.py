"""A backbone comes out of each usual layout of a self-supervised checkpoint with the vectors of the network inside."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from pixvec.errors import InvalidRequest, ModelNotFound, WeightsUnavailable
from pixvec.vision.preprocess import Interpolation, Preprocess
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.one_thread import one_thread
from tests.unit.vision.networks import cosines, normalised, settled, squares

ALIKE = 0.999
VIT = "vit_tiny_patch16_224"

State = Mapping[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def resnet() -> torch.nn.Module:
    torch.manual_seed(1)
    return settled(torchvision.models.resnet18(weights=None))


@pytest.fixture(scope="module")
def vit() -> torch.nn.Module:
    torch.manual_seed(2)
    return timm.create_model(VIT, num_classes=0).eval()


def under(prefix: str, state: State) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def without(part: str, state: State) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(part)}


def other(state: State) -> dict[str, torch.Tensor]:
    """Return a second copy that must not be taken for the first."""
    return {name: value + 1 for name, value in state.items()}


def moco(state: State) -> dict[str, object]:
    both = {**under("module.encoder_q.", other(state)), **under("module.encoder_k.", other(state))}
    mlp = {"module.encoder_q.fc.0.weight": torch.ones(2, 2), "module.encoder_q.fc.2.weight": torch.ones(2, 2)}
    queue = {"module.queue": torch.ones(4, 4), "module.queue_ptr": torch.zeros(1)}
    return {"epoch": 9, "arch": "resnet18", "state_dict": {**both, **under("module.encoder_q.", state), **mlp, **queue}}


def moco_v3(state: State) -> dict[str, object]:
    kept = {**under("module.momentum_encoder.", other(state)), **under("module.base_encoder.", state)}
    return {"state_dict": {**kept, "module.base_encoder.fc.0.weight": torch.ones(2, 2)}}


def simclr(state: State) -> dict[str, object]:
    return {"model": {**under("encoder.", without("fc", state)), "projector.0.weight": torch.ones(3, 3)}}


def byol(state: State) -> dict[str, object]:
    return {
        "model_state": {
            **under("online_network.encoder.", without("fc", state)),
            **under("target_network.encoder.", other(without("fc", state))),
            "online_network.projector.0.weight": torch.ones(3, 3),
        }
    }


def lightly(state: State) -> dict[str, object]:
    children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    numbered = {}
    for name, value in without("fc", state).items():
        first, _, rest = name.partition(".")
        numbered[f"backbone.{children.index(first)}.{rest}"] = value
    return {"state_dict": {**numbered, "projection_head.layers.0.weight": torch.ones(3, 3)}, "epoch": 1}


def swav(state: State) -> dict[str, torch.Tensor]:
    heads = {"projection_head.0.weight": torch.ones(3, 3), "prototypes.weight": torch.ones(3, 3)}
    return under("module.", {**without("fc", state), **heads})


def solo(state: State) -> dict[str, object]:
    kept = without("fc", state)
    both = {**under("momentum_backbone.", other(kept)), **under("backbone.", kept)}
    heads = {"projector.0.weight": torch.ones(3, 3), "momentum_projector.0.weight": torch.ones(3, 3)}
    return {"state_dict": {**both, **heads, "classifier.weight": torch.ones(2, 2)}, "global_step": 9}


def vissl(state: State) -> dict[str, object]:
    parts = {"trunk": under("_feature_blocks.", without("fc", state)), "heads": {"0.clf.0.weight": torch.ones(2, 2)}}
    return {"classy_state_dict": {"base_model": {"model": parts}, "loss": {}}, "iteration": 9}


def compiled(state: State) -> dict[str, object]:
    return {"model": under("module._orig_mod.", state), "ema": under("module._orig_mod.", other(state))}


def dino(state: State) -> dict[str, object]:
    heads = {"head.mlp.0.weight": torch.ones(3, 3), "head.last_layer.weight_v": torch.ones(3, 3)}
    return {
        "student": {**under("module.backbone.", other(state)), **under("module.", heads)},
        "teacher": {**under("backbone.", state), **heads},
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_tiny", lr=0.1),
    }


def dino_lightning(state: State) -> dict[str, object]:
    return {"state_dict": {**under("student.backbone.", other(state)), **under("teacher.backbone.", state)}}


def mae(state: State) -> dict[str, object]:
    decoder = {
        "mask_token": torch.zeros(1, 1, 8),
        "decoder_pos_embed": torch.zeros(1, 5, 8),
        "decoder_embed.weight": torch.ones(8, 8),
        "decoder_blocks.0.norm1.weight": torch.ones(8),
        "decoder_norm.weight": torch.ones(8),
        "decoder_pred.weight": torch.ones(8, 8),
    }
    return {"model": {**state, **decoder}}


def vae(state: State) -> dict[str, object]:
    around = {"decoder.conv1.weight": torch.ones(3, 3), "fc_mu.weight": torch.ones(2, 2), "fc_var.bias": torch.ones(2)}
    return {"state_dict": {**under("encoder.", without("fc", state)), **around}}


CONVOLUTIONAL = (
    *(moco, moco_v3, simclr, byol, lightly, swav, solo, vissl, compiled, vae, dict),
    lambda state: {"backbone": dict(state)},
)
TRANSFORMERS = (dino, dino_lightning, mae, lambda state: {"model": under("module.base_encoder.", state)})


def vectors(name: str, stored: object, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    file = folder / "checkpoint.pth"
    torch.save(stored, file)
    model = load(name, WeightSource({name.partition("+")[0]: file}))
    pixels = squares(model.preprocess)
    return pixels, model.embed(pixels)


@pytest.mark.parametrize("layout", CONVOLUTIONAL)
def test_a_residual_network(layout: Callable[[State], object], resnet: torch.nn.Module, tmp_path: Path) -> None:
    pixels, found = vectors("checkpoint:resnet18/own", layout(resnet.state_dict()), tmp_path)
    with torch.inference_mode():
        features = torch.nn.Sequential(*list(resnet.children())[:-1])(normalised(pixels)).flatten(1)
    assert cosines(found, features).min() > ALIKE


@pytest.mark.parametrize("layout", TRANSFORMERS)
def test_a_vision_transformer(layout: Callable[[State], object], vit: torch.nn.Module, tmp_path: Path) -> None:
    pixels, found = vectors(f"checkpoint:{VIT}/own", layout(vit.state_dict()), tmp_path)
    with torch.inference_mode():
        assert cosines(found, vit(normalised(pixels))).min() > ALIKE


def test_the_mean_of_the_patches_where_it_is_asked_for(vit: torch.nn.Module, tmp_path: Path) -> None:
    pixels, found = vectors(f"checkpoint:{VIT}+avg", mae(vit.state_dict()), tmp_path)
    with torch.inference_mode():
        tokens = vit.forward_features(normalised(pixels))
    assert cosines(found, tokens[:, 1:].mean(1)).min() > ALIKE


def test_a_learned_gem_comes_with_its_checkpoint(resnet: torch.nn.Module, tmp_path: Path) -> None:
    state = {**under("backbone.", without("fc", resnet.state_dict())), "backbone.pool.p": torch.tensor([2.0])}
    _, found = vectors("checkpoint:resnet18", {"state_dict": state}, tmp_path)
    _, two = vectors("checkpoint:resnet18+gem:2", {"state_dict": state}, tmp_path)
    assert np.array_equal(found, two)


def test_safetensors_are_read_as_pickles_are(resnet: torch.nn.Module, tmp_path: Path) -> None:
    state = {name: value.contiguous() for name, value in simclr(resnet.state_dict())["model"].items()}
    save_file(state, tmp_path / "own.safetensors")
    model = load("checkpoint:resnet18/own", WeightSource(folder=_folder(tmp_path, "resnet18/own.safetensors")))
    _, found = vectors("checkpoint:resnet18/own", simclr(resnet.state_dict()), tmp_path)
    assert np.array_equal(model.embed(squares(model.preprocess)), found)


def test_the_label_is_not_part_of_what_made_a_vector(resnet: torch.nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    torch.save(resnet.state_dict(), file)
    one, two = (load(name, WeightSource({name: file})) for name in ("checkpoint:resnet18/a", "checkpoint:resnet18/b"))
    assert one.digest == two.digest
    assert one.digest != load("resnet18", WeightSource({"resnet18": file})).digest
    assert one.preprocess == Preprocess(256, 224)


def test_a_transformers_pictures_are_taken_as_timm_takes_them(vit: torch.nn.Module, tmp_path: Path) -> None:
    torch.save(vit.state_dict(), tmp_path / "own.pth")
    name = f"checkpoint:{VIT}"
    model = load(name, WeightSource({name: tmp_path / "own.pth"}))
    assert model.preprocess == Preprocess(248, 224, interpolation=Interpolation.BICUBIC)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"conv1.weight": torch.ones(64, 1, 7, 7)}, r"conv1\.weight is 64 x 1 x 7 x 7, not 64 x 3 x 7 x 7"),
        ({"layer1.0.conv1.weight": None}, r"layer1\.0\.conv1\.weight is missing"),
        ({"layer5.0.conv1.weight": torch.ones(1)}, r"layer5\.0\.conv1\.weight is unexpected"),
    ],
)
def test_what_does_not_fit_is_named(
    resnet: torch.nn.Module, tmp_path: Path, change: Mapping[str, torch.Tensor | None], problem: str
) -> None:
    state = {**resnet.state_dict(), **change}
    kept = under("module.encoder_q.", {name: value for name, value in state.items() if value is not None})
    with pytest.raises(WeightsUnavailable, match=problem):
        vectors("checkpoint:resnet18", {"state_dict": kept}, tmp_path)


@pytest.mark.parametrize(
    "stored", [{}, {"epoch": 1}, {"model": {"a": 1}}, [torch.ones(1)], {"state_dict": {}}], ids=str
)
def test_what_holds_no_weights(tmp_path: Path, stored: object) -> None:
    with pytest.raises(WeightsUnavailable, match="holds no state dict"):
        vectors("checkpoint:resnet18", stored, tmp_path)


def test_weights_of_something_else_altogether(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"conv1\.weight is missing, a\.weight is unexpected"):
        vectors("checkpoint:resnet18", {"a.weight": torch.ones(2)}, tmp_path)


def test_an_architecture_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="timm has no network 'resnet17': it has resnet"):
        vectors("checkpoint:resnet17/own", {"a": torch.ones(1)}, tmp_path)


def test_a_pooling_that_the_architecture_has_not(vit: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no feature map of values above zero for GeM"):
        vectors(f"checkpoint:{VIT}+gem", vit.state_dict(), tmp_path)


def test_a_file_that_was_not_declared() -> None:
    with pytest.raises(WeightsUnavailable, match="--weights checkpoint:resnet50/moco=FILE"):
        load("checkpoint:resnet50/moco", WeightSource())


def _folder(root: Path, file: str) -> Path:
    target = root / "models" / file
    target.parent.mkdir(parents=True)
    (root / "own.safetensors").rename(target)
    return root / "models"
