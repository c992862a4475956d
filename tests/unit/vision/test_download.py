"""A fetched file is here whole and of its hash, or not at all."""

import hashlib
from pathlib import Path

import pytest

from pixvec.vision import download as module
from pixvec.vision.download import download, fetch

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(tmp_path: Path) -> str:
    file = tmp_path / "published.pth"
    file.write_bytes(CONTENT)
    return file.as_uri()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "not" / "yet" / "weights.pth"


def test_the_file_arrives_whole_in_a_folder_made_for_it(url: str, target: Path) -> None:
    assert fetch(url, target, SHA256[:8], 60) == SHA256
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_file_of_another_hash_is_not_kept(url: str, target: Path) -> None:
    with pytest.raises(OSError, match=f"has the SHA-256 {SHA256}, not 0000"):
        fetch(url, target, "0000", 60)
    assert list(target.parent.iterdir()) == []


def test_a_file_that_was_there_outlives_a_bad_download(url: str, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="SHA-256"):
        fetch(url, target, "0000", 60)
    assert target.read_bytes() == b"old"
    fetch(url, target, SHA256, 60)
    assert target.read_bytes() == CONTENT


def test_too_slow_is_given_up_by_the_clock(url: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(seconds)))
    with pytest.raises(OSError, match="not complete after 25 s"):
        fetch(url, target, SHA256, 25)
    assert list(target.parent.iterdir()) == []


def test_a_published_name_is_fetched_from_where_torchvision_has_it(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(module, "fetch", lambda *given: asked.append(given) or SHA256)
    assert download("ResNet50_Weights.IMAGENET1K_V2", target, "11ad3fa6", 7.0) == SHA256
    ((url, *rest),) = asked
    assert url.endswith("/resnet50-11ad3fa6.pth")
    assert rest == [target, "11ad3fa6", 7.0]
