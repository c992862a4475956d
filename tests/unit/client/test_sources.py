import pytest

from pixvec.client.sources import NewImage, count_pictures, read_sources
from pixvec.errors import InvalidRequest


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "sub/c.webp", ".git/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_a_folder_gives_its_pictures_in_order(folder):
    assert [image.image_id for image in read_sources(folder)] == ["a.PNG", "b.jpg", "sub/c.webp"]
    assert count_pictures([folder, folder / "b.jpg"]) == 4


def test_a_file_is_named_as_it_was_given(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [image.image_id for image in read_sources(["./b.jpg", "sub/c.webp"])] == ["b.jpg", "sub/c.webp"]


def test_sources_are_read_as_they_are_needed(folder):
    def endless():
        while True:
            yield "id", b"x"

    assert next(iter(read_sources(endless()))).content == b"x"


def test_a_picture_has_one_source(folder):
    with pytest.raises(InvalidRequest, match="exactly one"):
        NewImage("a", content=b"x", uri="file:///x")
