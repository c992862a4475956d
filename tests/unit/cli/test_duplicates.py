"""Duplicates on the command line: found, linked and rejected."""

import re
import webbrowser

import pytest

from pixvec.cli import contact_sheet

PICTURES = [("whole", b"lake and sky"), ("copy", b"lake and sky"), ("part", b"lake"), ("other", b"a car")]


@pytest.fixture
def stored(photos, tmp_path):
    """Pictures, and a file of one of them."""
    photos.ingest("photos", PICTURES).wait()
    query = tmp_path / "query.jpg"
    query.write_bytes(b"lake and sky")
    return query


def test_what_each_hit_is_stands_beside_it(run, stored):
    ended = run("duplicates", "photos", stored)
    assert (ended.status, ended.err) == (0, "")
    rows = re.findall(r"\d .*?(whole|copy|part|other).*?(exact|near duplicate, 4 keypoints|similar)", ended.out)
    assert rows == [
        ("copy", "exact"),
        ("whole", "exact"),
        ("part", "near duplicate, 4 keypoints"),
        ("other", "similar"),
    ]
    assert "2 pictures were compared with it." in ended.out


def test_an_image_of_the_collection_is_none_of_its_duplicates(run, stored, server):
    ended = run("duplicates", "photos", "--like", "whole", "--json", "--min-score", 0.999, "--limit", 5)
    assert [(hit["image_id"], hit["match"]["kind"]) for hit in ended.json["hits"]] == [
        ("copy", "exact"),
        ("part", "near_duplicate"),
    ]
    assert ended.json["hits"][0]["match"]["quad"] == [[0, 0], [100, 0], [100, 100], [0, 100]]
    assert server.called("FindDuplicates")[-1].limit == 5


@pytest.mark.parametrize("given", [[], ["--like", "whole", "query"]])
def test_a_picture_or_an_image_is_named(run, stored, given):
    ended = run("duplicates", "photos", *[stored if each == "query" else each for each in given])
    assert ended.status == 2
    assert "--like" in ended.err


def test_the_sheet_shows_where_the_query_lies(run, stored, monkeypatch, tmp_path):
    monkeypatch.setattr(webbrowser, "open", lambda _: True)
    monkeypatch.setattr(contact_sheet.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    assert run("duplicates", "photos", stored, "--open").status == 0
    page = (tmp_path / "contact-sheet.html").read_text()
    assert page.count('<polygon points="0,0 100,0 100,100 0,100"/>') == 3
    assert page.count('<span class="note">exact</span>') == 2
    assert "near duplicate, 4 keypoints" in page


@pytest.fixture
def twins(tmp_path):
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.jpg").write_bytes(b"the same picture")
    return folder


def test_duplicates_are_linked_when_asked(run, photos, twins, server):
    assert run("ingest", "photos", twins, "--on-duplicate", "link", "--json").json["indexed"] == 2
    images = [photos.get_image("photos", f"{name}.jpg") for name in ("one", "two")]
    assert sorted(image.duplicate_of for image in images) == ["", "one.jpg"]
    assert [hit.image_id for hit in photos.search("photos", image=b"the same picture")] == ["one.jpg"]
    assert "1 are linked" in run("ingest", "photos", twins, "--on-duplicate", "link").out


def test_duplicates_are_rejected_when_asked(run, photos, twins):
    ended = run("ingest", "photos", twins, "--on-duplicate", "reject")
    assert ended.status == 1
    assert "duplicate of 'one.jpg'" in ended.out


def test_duplicates_are_kept_by_default(run, photos, twins):
    assert run("ingest", "photos", twins).status == 0
    assert len(photos.search("photos", image=b"the same picture")) == 2
