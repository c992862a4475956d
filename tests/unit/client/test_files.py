"""Files that are given as pictures, whatever they are."""

import os
from pathlib import Path

import pytest

from pixvec.client.arguments import MAX_PICTURE_BYTES
from pixvec.client.files import read_file
from pixvec.errors import ContentNotFound, PictureTooLarge


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    assert read_file(str(tmp_path / "link.jpg"), "a") == b"picture"


@pytest.fixture(params=["folder", "pipe", "device", "no name\0"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.jpg"
    if request.param == "folder":
        path.mkdir()
    elif request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    return path


def test_what_is_no_file_is_not_read(no_file: Path) -> None:
    with pytest.raises(ContentNotFound, match="is not a file"):
        read_file(no_file, "a")


def test_a_file_too_large_for_a_message_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        # Without blocks on disk; read whole it would take memory no machine has.
        file.truncate(2**43)
    with pytest.raises(PictureTooLarge, match=f"the picture has 8388608 MiB, .* {MAX_PICTURE_BYTES // 2**20}:"):
        read_file(path, "the picture")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixvec.client.files.MAX_PICTURE_BYTES", 8)
    monkeypatch.setattr("pixvec.client.arguments.MAX_PICTURE_BYTES", 8)
    path = tmp_path / "grows.jpg"
    path.write_bytes(bytes(4))
    stat = os.fstat

    def grow(descriptor: int) -> os.stat_result:
        found = stat(descriptor)
        path.write_bytes(bytes(10**6))
        return found

    monkeypatch.setattr("os.fstat", grow)
    with pytest.raises(PictureTooLarge):
        read_file(path, "the picture")
