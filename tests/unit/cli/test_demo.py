import pytest
from PIL import Image

from pixvec.cli import demo
from pixvec.cli.console import plain_console
from pixvec.errors import NotFound


def choose(folder):
    return demo._choose_pictures(plain_console(), folder, folder / "unused")


def test_the_picture_searched_for_is_one_that_is_taken_in(tmp_path):
    for name in (".hidden.jpg", ".thumbnails/a.jpg", "b/picture.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (200, 100)).save(tmp_path / name)
    (tmp_path / "a damaged one.jpg").write_bytes(b"no picture")
    assert choose(tmp_path) == (tmp_path, tmp_path / "b" / "picture.jpg")


def test_a_folder_without_a_readable_picture_is_said_to_be_one(tmp_path):
    (tmp_path / "damaged.jpg").write_bytes(b"no picture")
    with pytest.raises(NotFound, match="no picture that can be read"):
        choose(tmp_path)
