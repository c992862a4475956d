"""Files that hold no model, in every family: each is refused by an error that names it, and no code in it is run."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from pixvec.errors import WeightsUnavailable
from pixvec.vision import fitted_file
from pixvec.vision.codebook import KIND as CODEBOOK
from pixvec.vision.local_features import DIM
from pixvec.vision.pca import KIND as PCA
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.one_thread import one_thread
from tests.towers import write_towers
from tests.unit.vision.networks import saved
from tests.unit.vision.test_state_dict import Sentinel


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@dataclass(frozen=True)
class Family:
    """`model`: a name in it; `declared`: what its file is named by; `good`: writes a file that is one, in a folder."""

    model: str
    declared: str
    good: Callable[[Path], Path]

    def load(self, file: Path) -> object:
        return load(self.model, WeightSource({self.declared: file}, download=False))


def torchvision_file(folder: Path, **options: object) -> Path:
    return saved(torchvision.models.mobilenet_v3_small(weights=None, **options), folder / "good.pth")


def timm_file(folder: Path, **options: object) -> Path:
    return saved(timm.create_model("test_resnet", **options), folder / "good.pth")


def codebook_file(folder: Path) -> Path:
    return fitted_file.write(folder, "good", CODEBOOK, {"centroids": np.ones((4, DIM)), "idf": np.ones(4)})


def pca_file(folder: Path) -> Path:
    arrays = {"mean": np.zeros(1764), "components": np.eye(2, 1764), "variances": np.ones(2)}
    return fitted_file.write(folder, "good", PCA, arrays)


NETWORKS = {
    "torchvision": Family("mobilenet_v3_small", "mobilenet_v3_small", torchvision_file),
    "timm": Family("timm:test_resnet", "timm:test_resnet", timm_file),
    "checkpoint": Family("checkpoint:mobilenet_v3_small/own", "checkpoint:mobilenet_v3_small/own", torchvision_file),
}
FITTED = {
    "sift-vlad": Family("sift-vlad:own", "sift-vlad:own", codebook_file),
    "sift-bow": Family("sift-bow:own", "sift-bow:own", codebook_file),
    "pca": Family("hog+pca:own", "pca:own", pca_file),
}
ALL = {**NETWORKS, **FITTED}

every_family = pytest.mark.parametrize("family", ALL.values(), ids=ALL)
every_network = pytest.mark.parametrize("family", NETWORKS.values(), ids=NETWORKS)


def refused(family: Family, file: Path, match: str = "hold|read") -> str:
    with pytest.raises(WeightsUnavailable, match=match) as caught:
        family.load(file)
    assert str(file) in caught.value.message
    return caught.value.message


@every_family
def test_a_good_file_is_taken(family: Family, tmp_path: Path) -> None:
    family.load(family.good(tmp_path))


@every_family
def test_a_file_that_is_not_there(family: Family, tmp_path: Path) -> None:
    refused(family, tmp_path / "gone.pth", "name (a file|one) that is")


@every_family
def test_a_folder_in_the_place_of_a_file(family: Family, tmp_path: Path) -> None:
    (tmp_path / "own.pth").mkdir()
    refused(family, tmp_path / "own.pth", "is not a file")


@every_family
def test_a_file_of_another_hash_than_the_one_in_its_name(family: Family, tmp_path: Path) -> None:
    good = family.good(tmp_path)
    renamed = good.rename(tmp_path / f"own-0badc0de{good.suffix}")
    refused(family, renamed, "its SHA-256 is .*, not the one in its name")


@every_family
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_model_at_all(family: Family, tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"own{suffix}"
    file.write_bytes(content)
    refused(family, file)


@every_family
@pytest.mark.parametrize("kept", [0.001, 0.5, 0.999])
def test_a_file_that_is_cut_short(family: Family, tmp_path: Path, kept: float) -> None:
    good = family.good(tmp_path)
    content = good.read_bytes()
    file = tmp_path / f"cut{good.suffix}"
    file.write_bytes(content[: int(len(content) * kept)])
    refused(family, file, "cannot be read as")


@every_network
@pytest.mark.parametrize("kept", [4, 0.5, 0.999])
def test_safetensors_that_are_cut_short(family: Family, tmp_path: Path, kept: float) -> None:
    file = tmp_path / "own.safetensors"
    save_file(torch.load(family.good(tmp_path), weights_only=True), file)
    family.load(file)
    content = file.read_bytes()
    file.write_bytes(content[: kept if kept >= 1 else int(len(content) * kept)])
    refused(family, file, "cannot be read as weights")


@every_family
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("by", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value, 2))])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_code_in_a_pickle_is_not_run(family: Family, tmp_path: Path, suffix: str, by: Callable[..., object]) -> None:
    file, mark = tmp_path / f"own{suffix}", tmp_path / "mark"
    by({"conv1.weight": Sentinel(mark)}, file)
    message = refused(family, file)
    assert not mark.exists()
    # Nor is anybody told how to have it run.
    assert "weights_only" not in message


@every_network
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda value: value[:, :1], "is .*, not "),
        (lambda value: value.reshape(-1), "is .*, not "),
        (lambda value: None, "is missing"),
        (lambda value: value * torch.nan, "values that are not finite"),
    ],
    ids=["fewer channels", "flat", "missing", "not finite"],
)
def test_weights_that_do_not_fit(
    family: Family, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor | None], problem: str
) -> None:
    file = family.good(tmp_path)
    state = torch.load(file, weights_only=True)
    first = next(iter(state))
    changed = change(state.pop(first))
    torch.save(state if changed is None else {first: changed.clone(), **state}, file)
    refused(family, file, f"{first} .*{problem}")


@pytest.mark.parametrize(
    ("family", "other"),
    [
        (NETWORKS["torchvision"], lambda folder: torchvision_file(folder, num_classes=7)),
        (NETWORKS["checkpoint"], lambda folder: torchvision_file(folder, num_classes=7)),
        (NETWORKS["timm"], lambda folder: timm_file(folder, num_classes=7)),
    ],
    ids=NETWORKS,
)
def test_a_network_of_another_number_of_classes_is_taken(
    family: Family, other: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Its classifier is of no use here: what comes before it is the same network."""
    torch.manual_seed(0)
    family.load(other(tmp_path))


CLIP = "open_clip:local-dir:own"


@pytest.fixture(scope="module")
def written_towers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    write_towers(folder)
    return folder


def clip_refused(folder: Path, match: str) -> None:
    with pytest.raises(WeightsUnavailable, match=match) as caught:
        load(CLIP, WeightSource({CLIP: folder}, download=False))
    assert str(folder) in caught.value.message


@pytest.fixture
def clip(written_towers: Path, tmp_path: Path) -> Path:
    """A folder with the configuration alone."""
    folder = tmp_path / "clip"
    folder.mkdir()
    config = "open_clip_config.json"
    (folder / config).write_bytes((written_towers / config).read_bytes())
    return folder


def test_a_folder_of_open_clip_that_is_not_there(tmp_path: Path) -> None:
    clip_refused(tmp_path / "gone", "is not there; name")


def test_a_file_in_the_place_of_a_folder_of_open_clip(tmp_path: Path) -> None:
    (tmp_path / "own").write_bytes(b"text")
    clip_refused(tmp_path / "own", "must hold open_clip_config.json and weights")


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_model_of_open_clip(clip: Path, name: str, content: bytes) -> None:
    (clip / name).write_bytes(content)
    clip_refused(clip, r"make no model of open_clip \(.+\)")


@pytest.mark.parametrize("kept", [4, 0.5, 0.999])
def test_a_model_of_open_clip_that_is_cut_short(clip: Path, written_towers: Path, kept: float) -> None:
    content = (written_towers / "open_clip_model.safetensors").read_bytes()
    cut = content[: kept if kept >= 1 else int(len(content) * kept)]
    (clip / "open_clip_model.safetensors").write_bytes(cut)
    clip_refused(clip, r"make no model of open_clip \(.+\)")
