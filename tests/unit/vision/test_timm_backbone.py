"""timm's networks give what timm gives, from a file that was named or from its hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from timm.data import resolve_model_data_config

from pixvec.errors import InvalidRequest, ModelNotFound, WeightsUnavailable
from pixvec.vision import hub
from pixvec.vision.digest import file_sha256
from pixvec.vision.preprocess import Fit
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.one_thread import one_thread
from tests.unit.vision.networks import cosines, normalised, saved, settled, squares

ALIKE = 0.999
SMALL = "resnet10t"


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


def network(name: str = SMALL) -> torch.nn.Module:
    torch.manual_seed(3)
    return timm.create_model(name, pretrained=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(settled(network()), tmp_path_factory.mktemp("weights") / "own.pth")


@pytest.mark.parametrize("name", [SMALL, "convnext_atto", "vit_tiny_patch16_224", "tiny_vit_5m_224"])
def test_vectors_are_what_the_classifier_would_be_given(name: str, tmp_path: Path) -> None:
    whole = settled(network(name), 224)
    model = load(f"timm:{name}", WeightSource({f"timm:{name}": saved(whole, tmp_path / "own.pth")}))
    pixels, config = squares(model.preprocess), resolve_model_data_config(whole)
    with torch.inference_mode():
        features = whole.forward_features(normalised(pixels, config["mean"], config["std"]))
        assert cosines(model.embed(pixels), whole.forward_head(features, pre_logits=True)).min() > ALIKE
    assert (model.preprocess.crop, model.name) == (config["input_size"][1], f"timm:{name}")


def test_a_pooling_of_ones_own(file: Path) -> None:
    pixels = squares(load(f"timm:{SMALL}", WeightSource({f"timm:{SMALL}": file})).preprocess)
    gem = load(f"timm:{SMALL}+gem", WeightSource({f"timm:{SMALL}": file}))
    whole = network()
    whole.load_state_dict(torch.load(file, weights_only=True))
    with torch.inference_mode():
        features = whole.eval().forward_features(normalised(pixels))
    truth = features.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)
    assert cosines(gem.embed(pixels), truth).min() > ALIKE
    with pytest.raises(InvalidRequest, match="has no CLS token"):
        load(f"timm:{SMALL}+cls", WeightSource({f"timm:{SMALL}": file}))


def test_channels_that_come_last_are_pooled_as_channels(tmp_path: Path) -> None:
    name = "timm:swin_tiny_patch4_window7_224"
    whole = network(name.removeprefix("timm:")).eval()
    source = WeightSource({name: saved(whole, tmp_path / "own.pth")})
    model = load(f"{name}+avg", source)
    pixels = squares(model.preprocess)
    with torch.inference_mode():
        truth = whole.forward_features(normalised(pixels)).mean((1, 2))
    assert cosines(model.embed(pixels), truth).min() > ALIKE


def test_a_network_that_there_is_not() -> None:
    with pytest.raises(ModelNotFound, match=r"timm has no network 'resnet10q': it has .* and others") as caught:
        load("timm:resnet10q", WeightSource())
    assert caught.value.field == "model"


def test_weights_of_another_network_are_refused(file: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="does not hold the weights of this network"):
        load("timm:resnet18", WeightSource({"timm:resnet18": file}))


def test_the_size_of_the_pictures_is_the_networks_own(tmp_path: Path) -> None:
    name = "timm:test_vit"
    model = load(name, WeightSource({name: saved(network("test_vit"), tmp_path / "own.pth")}))
    assert model.preprocess.fit is Fit.CROP
    assert model.preprocess.crop == 160


class Hub:
    """In the place of the hub's client: gives files by name, and notes whether it was to stay offline."""

    def __init__(self, *files: Path) -> None:
        self._files = {file.name: file for file in files}
        self.asked: list[tuple[str, str, bool]] = []

    def __call__(self, repository: str, file: str, *, local_files_only: bool) -> str:
        self.asked.append((repository, file, local_files_only))
        if file not in self._files:
            raise LocalEntryNotFoundError("not in the cache")
        return str(self._files[file])


def published(folder: Path) -> Path:
    path = folder / "model.safetensors"
    save_file({name: value.contiguous() for name, value in settled(network()).state_dict().items()}, path)
    return path


def test_weights_of_the_hub_are_those_of_its_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = published(tmp_path)
    client = Hub(stored)
    monkeypatch.setattr(hub, "hf_hub_download", client)
    model = load(f"timm:{SMALL}.c3_in1k", WeightSource())
    named = load(f"timm:{SMALL}.c3_in1k", WeightSource({f"timm:{SMALL}.c3_in1k": stored}))
    assert model.digest == named.digest
    assert client.asked == [(f"timm/{SMALL}.c3_in1k", "model.safetensors", False)]


def test_a_hub_that_has_nothing_here_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Hub()
    monkeypatch.setattr(hub, "hf_hub_download", client)
    with pytest.raises(WeightsUnavailable, match=rf"no weights for timm:{SMALL}: it is not in the cache\. Start with"):
        load(f"timm:{SMALL}", WeightSource(download=False))
    assert [offline for _, _, offline in client.asked] == [True, True]
    with pytest.raises(WeightsUnavailable, match="and the hub cannot be reached"):
        load(f"timm:{SMALL}", WeightSource())


def test_a_file_of_the_cache_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = published(tmp_path)
    blob = tmp_path / file_sha256(stored)
    stored.rename(blob)
    stored.symlink_to(blob)
    monkeypatch.setattr(hub, "hf_hub_download", Hub(stored))
    load(f"timm:{SMALL}", WeightSource())
    with blob.open("ab") as end:
        end.write(b"!")
    with pytest.raises(WeightsUnavailable, match=r"is damaged: its SHA-256 is .*; remove it"):
        load(f"timm:{SMALL}", WeightSource())
