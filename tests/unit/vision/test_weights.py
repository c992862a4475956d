"""Weights come from a named file, the cache or a download, in this order; where none is had, the way out is told."""

import re
from pathlib import Path

import pytest

from pixvec.errors import InvalidRequest, WeightsUnavailable
from pixvec.vision import weights
from pixvec.vision.download import HostUnreachable
from pixvec.vision.weights import (
    CHECKPOINTS,
    NotHad,
    WeightFile,
    WeightSource,
    attempt,
    cache_path,
    find,
    obtain,
    parse_weights,
)
from tests.unit.vision.published import CHECKPOINT, CONTENT, SHA256, Host

OFFLINE = WeightSource(download=False)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Host:
    host = Host(*request.param)
    monkeypatch.setattr(weights, "download", host)
    return host


def cached(content: bytes) -> Path:
    path = cache_path(CHECKPOINT)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def named(folder: Path, content: bytes = b"own weights") -> WeightSource:
    file = folder / "own.pth"
    file.write_bytes(content)
    return WeightSource({"resnet50": file}, download=False)


def test_a_named_file_is_taken_whatever_its_hash_and_the_cache(tmp_path: Path) -> None:
    cached(CONTENT)
    found = obtain(CHECKPOINT, named(tmp_path))
    assert found.path == tmp_path / "own.pth"
    assert found.sha256 != SHA256


def test_a_named_file_of_another_hash_than_the_one_in_its_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / CHECKPOINT.file_name
    file.write_bytes(CONTENT)
    source = WeightSource({"resnet50": file}, download=False)
    assert obtain(CHECKPOINT, source) == WeightFile(file, SHA256)
    file.write_bytes(CONTENT + b"!")
    for look in (attempt, obtain):
        with pytest.raises(WeightsUnavailable, match="is damaged or was changed"):
            look(CHECKPOINT, source)


def test_a_named_file_that_is_missing_is_not_replaced_by_another(tmp_path: Path) -> None:
    cached(CONTENT)
    source = WeightSource({"resnet50": tmp_path / "nowhere.pth"})
    for look in (find, attempt, obtain):
        with pytest.raises(WeightsUnavailable, match=r"resnet50: .*nowhere\.pth is not a file; name one"):
            look(CHECKPOINT, source)


def test_a_file_named_for_another_model_is_of_no_use_here(tmp_path: Path) -> None:
    source = WeightSource({"mobilenet_v3_small": named(tmp_path).files["resnet50"]}, download=False)
    assert find(CHECKPOINT, source) is None


def test_the_cache_is_torchvisions_own(torch_home: Path) -> None:
    path = cached(CONTENT)
    assert path == torch_home / "hub" / "checkpoints" / CHECKPOINT.file_name
    assert obtain(CHECKPOINT, OFFLINE) == WeightFile(path, SHA256)


def test_where_the_cache_is_without_torch_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_path(CHECKPOINT) == tmp_path / "torch" / "hub" / "checkpoints" / CHECKPOINT.file_name
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_path(CHECKPOINT).parents[2] == tmp_path / ".cache" / "torch"


@pytest.mark.parametrize("host", [[CONTENT]], indirect=True)
def test_what_is_not_here_is_downloaded_once(host: Host) -> None:
    assert obtain(CHECKPOINT, WeightSource()) == WeightFile(cache_path(CHECKPOINT), SHA256)
    obtain(CHECKPOINT, WeightSource())
    assert host.asked == ["ResNet50_Weights.IMAGENET1K_V2"]


def test_no_download_without_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "download", Host())
    with pytest.raises(WeightsUnavailable) as caught:
        obtain(CHECKPOINT, OFFLINE)
    for part in (
        "no weights for resnet50",
        f"looked for {cache_path(CHECKPOINT)}",
        "no such file, and downloads are off",
        f"Put {CHECKPOINT.file_name} there",
        "`pixvec up --weights resnet50=FILE`",
        "hog-color, which needs none",
    ):
        assert part in caught.value.message


@pytest.mark.parametrize("host", [[OSError("it was not complete after 300 s")]], indirect=True)
def test_a_failed_download_is_told_with_its_cause(host: Host) -> None:
    with pytest.raises(
        WeightsUnavailable, match=r"download failed: it was not complete after 300 s\. Put .* there, or"
    ):
        obtain(CHECKPOINT, WeightSource())


@pytest.mark.parametrize("host", [[HostUnreachable("no answer"), OSError("404")]], indirect=True)
def test_a_host_that_cannot_be_reached_is_told_from_a_file_that_cannot_be_had(host: Host) -> None:
    unreachable, refused = (attempt(CHECKPOINT, WeightSource()) for _ in range(2))
    assert isinstance(unreachable, NotHad)
    assert isinstance(refused, NotHad)
    assert (unreachable.offline, refused.offline) == (True, False)


def test_a_damaged_file_in_the_cache_is_not_used() -> None:
    path = cached(CONTENT[:-1])
    with pytest.raises(WeightsUnavailable, match=f"{path} is damaged .*SHA-256"):
        obtain(CHECKPOINT, OFFLINE)


@pytest.mark.parametrize("host", [[OSError("404")]], indirect=True)
def test_a_damaged_file_is_fetched_again(host: Host) -> None:
    cached(CONTENT[:-1])
    had = attempt(CHECKPOINT, WeightSource())
    assert isinstance(had, NotHad)
    assert "is damaged" in had.why
    assert host.asked


def test_published_files_end_in_the_start_of_their_hash() -> None:
    prefixes = {model: checkpoint.sha256_prefix for model, checkpoint in CHECKPOINTS.items()}
    assert prefixes["resnet50"] == "11ad3fa6"
    assert prefixes["mobilenet_v3_small"] == "047dcff4"
    assert all(re.fullmatch("[0-9a-f]{8}", prefix) for prefix in prefixes.values())


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("", {}),
        (" , ", {}),
        ("resnet50=/w/a.pth", {"resnet50": "/w/a.pth"}),
        ("resnet50=/w/a=b.pth", {"resnet50": "/w/a=b.pth"}),
        ("/w/resnet50-11ad3fa6.pth", {"resnet50": "/w/resnet50-11ad3fa6.pth"}),
        ("resnet50=a.pth, mobilenet_v3_small=b.pth", {"resnet50": "a.pth", "mobilenet_v3_small": "b.pth"}),
        ("checkpoint:resnet50/moco=/w/moco.pth", {"checkpoint:resnet50/moco": "/w/moco.pth"}),
        ("pca:faces=/w/f.safetensors", {"pca:faces": "/w/f.safetensors"}),
    ],
)
def test_weights_are_named_by_model_or_by_file_name(text: str, files: dict[str, str]) -> None:
    assert parse_weights(text) == {model: Path(file) for model, file in files.items()}


def test_a_tilde_is_ones_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_weights("resnet50=~/a.pth") == {"resnet50": tmp_path / "a.pth"}


@pytest.mark.parametrize(
    "text", ["resnet51=a.pth", "a.pth", "resnet50=", "=a.pth", "hog-color=a.pth", "timm:=a", "new:a=b"]
)
def test_what_cannot_be_understood_is_said(text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{text}.*MODEL=FILE, MODEL being resnet50, .*, or timm:NAME") as caught:
        parse_weights(text)
    assert caught.value.field == "weights"
