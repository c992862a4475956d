"""A model's text reaches the files that were declared for it, and no others."""

import hashlib
from pathlib import Path

import pytest

from pixvec.errors import WeightsUnavailable
from pixvec.vision.model_files import declared, locate, weight_file
from pixvec.vision.weights import WeightFile, WeightSource, checked

CONTENT = b"fitted"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "deep").mkdir(parents=True)
    (folder / "faces.safetensors").write_bytes(CONTENT)
    (folder / "deep" / "cars.pth").write_bytes(CONTENT)
    (tmp_path / "secret.safetensors").write_bytes(CONTENT)
    return folder


@pytest.mark.parametrize("file", ["faces", "faces.safetensors", "deep/cars", "deep/../faces"])
def test_a_file_in_the_folder_is_found_with_or_without_its_suffix(folder: Path, file: str) -> None:
    found = weight_file(f"pca:{file}", file, WeightSource(folder=folder))
    assert found.sha256 == SHA256
    assert found.path.is_relative_to(folder)


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "", ".", "deep/../../secret.safetensors", "nothing"])
def test_nothing_outside_the_folder_is_found(folder: Path, file: str) -> None:
    with pytest.raises(WeightsUnavailable, match=f"no file for pca:{file}: start with .* or put it into {folder}"):
        locate(f"pca:{file}", file, WeightSource(folder=folder))


def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder: Path) -> None:
    (folder / "link.safetensors").symlink_to(folder.parent / "secret.safetensors")
    with pytest.raises(WeightsUnavailable, match="no file for pca:link"):
        locate("pca:link", "link", WeightSource(folder=folder))


def test_a_declared_name_is_its_file_wherever_that_is(folder: Path) -> None:
    secret = folder.parent / "secret.safetensors"
    source = WeightSource({"pca:faces": secret, "timm:resnet18": secret}, folder=folder)
    assert locate("pca:faces", "faces", source) == secret
    assert declared("pca", source) == {"pca:faces": secret}


def test_a_declared_file_that_is_gone_is_not_replaced_by_another(folder: Path) -> None:
    source = WeightSource({"pca:faces": folder / "gone"}, folder=folder)
    with pytest.raises(WeightsUnavailable, match=r"pca:faces: .*gone is not there; name a file that is"):
        locate("pca:faces", "faces", source)


def test_without_a_folder_only_what_was_declared_is_found() -> None:
    with pytest.raises(
        WeightsUnavailable, match=r"start with `pixvec up --weights pca:faces=FILE` or fit one with `pixvec train`$"
    ):
        locate("pca:faces", "faces", WeightSource())


@pytest.mark.parametrize("digits", [8, 64])
def test_a_hash_in_the_name_must_be_the_files(tmp_path: Path, digits: int) -> None:
    right = tmp_path / f"book-{SHA256[:digits]}.safetensors"
    right.write_bytes(CONTENT)
    assert checked(right) == WeightFile(right, SHA256)
    right.write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsUnavailable, match="is damaged or was changed"):
        checked(right)


@pytest.mark.parametrize("name", ["vit-base.pth", "a-1234567.pth", "facade00.pth"])
def test_a_name_without_a_hash_says_nothing_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CONTENT)
    assert checked(tmp_path / name).sha256 == SHA256


def test_a_folder_is_no_file_of_weights(folder: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="deep is not a file"):
        weight_file("pca:deep", "deep", WeightSource(folder=folder))
