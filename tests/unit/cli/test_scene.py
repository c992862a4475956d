"""Searches for parts of pictures and for scenes on the command line. Each word of a picture is an object."""

import re
import webbrowser

import pytest

from pixvec.cli import contact_sheet
from tests.unit.cli.test_contact_sheet import Page

PICTURES = [("farm", b"cow dog cat"), ("pets", b"cat dog fish"), ("sea", b"boat fish"), ("sky", b"bird")]


@pytest.fixture
def stored(photos, tmp_path):
    """Pictures in a collection of regions, and one to search by."""
    photos.create_collection("scenes", regions="words")
    photos.ingest("scenes", PICTURES).wait()
    query = tmp_path / "query.jpg"
    query.write_bytes(b"dog fish")
    return query


@pytest.fixture
def sheet(monkeypatch, tmp_path):
    """The page that was opened in a browser, as text."""
    monkeypatch.setattr(webbrowser, "open", lambda _: True)
    monkeypatch.setattr(contact_sheet.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    return lambda: (tmp_path / "contact-sheet.html").read_text()


def test_a_box_of_a_picture_finds_what_is_like_it(run, stored, server):
    ended = run("search", "scenes", stored, "--box", "10,0,18,8", "--limit", 2)
    assert (ended.status, ended.err) == (0, "")
    assert re.search(r"1 .*pets.*1\.0000.*pets#2: fish 0\.90 at 20,0,28,8", ended.out)
    query = server.called("Query")[-1]
    assert (query.image, query.box.x1, query.box.y2) == (b"dog fish", 10, 8)
    assert run("search", "scenes", "--like", "sea", "--box", "0,0,8,8").status == 0
    assert server.called("Query")[-1].image_id == "sea"


@pytest.mark.parametrize("box", ["1,2,3", "1,2,3,4,5", "left,top,right,bottom", ""])
def test_what_is_no_box_is_wrong_usage(run, stored, box):
    ended = run("search", "scenes", stored, "--box", box)
    assert ended.status == 2
    assert "x1,y1,x2,y2" in "".join(ended.err.split("\n"))


def test_a_region_finds_others(run, stored, server):
    ended = run("search", "scenes", "--region", "pets#1", "--min-score", 0.99)
    assert (ended.status, ended.err) == (0, "")
    assert re.search(r"1 .*farm.*farm#1: dog.*\n.*2 .*pets.*pets#1: dog", ended.out)
    assert server.called("Query")[-1].region_id == "pets#1"


@pytest.mark.parametrize("other", [["--like", "sea"], ["--text", "fish"]])
def test_a_region_is_searched_by_alone(run, stored, other):
    ended = run("search", "scenes", "--region", "pets#1", *other)
    assert ended.status == 2
    assert "--region" in ended.err


def test_errors_are_one_line(run, stored):
    assert run("search", "scenes", "--region", "sky#7").err == "error: there is no region 'sky#7'\n"
    assert run("search", "photos", "--region", "sky#0").err == "error: photos finds no objects in its pictures\n"
    assert "lies outside the picture" in run("search", "scenes", stored, "--box", "90,0,98,8").err


def test_hits_of_regions_are_drawn_on_their_pictures(run, stored, sheet):
    assert run("search", "scenes", stored, "--box", "10,0,18,8", "--limit", 1, "--open").status == 0
    page = sheet()
    assert 'points="10,0 18,0 18,8 10,8"' in page
    assert 'points="20,0 28,0 28,8 20,8"' in page
    assert "pets#2: fish 0.90 at 20,0,28,8" in Page(page).text


def test_a_region_is_drawn_on_its_own_picture(run, stored, sheet):
    assert run("search", "scenes", "--region", "pets#2", "--limit", 1, "--open").status == 0
    assert sheet().count('points="20,0 28,0 28,8 20,8"') == 2


def test_hits_of_whole_pictures_have_no_outlines(run, stored, sheet):
    assert run("search", "photos", stored, "--open").status == 0
    assert "<svg" not in sheet()


def test_a_scene_is_told_object_by_object_and_as_a_whole(run, stored, server):
    ended = run("scene", "scenes", stored, "--limit", 2)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    dog, fish, whole = (
        next(n for n, line in enumerate(lines) if title in line)
        for title in ("1. dog 0.90 at 0,0,8,8", "2. fish 0.90 at 10,0,18,8", "Pictures that hold all of them")
    )
    assert dog < fish < whole
    assert "pets#1: dog" in "".join(lines[dog:fish])
    assert re.search(r"1 .*pets.*1\.0000.*1\.0000  1\.0000", "\n".join(lines[whole:]))
    assert (server.called("QueryScene")[0].limit, server.called("QueryScene")[0].max_objects) == (2, 10)


def test_objects_that_are_left_out_are_told(run, stored):
    assert "2 objects were found; --max-objects" in run("scene", "scenes", stored, "--max-objects", 1).out


def test_a_scene_of_an_image_that_is_in(run, stored):
    told = run("scene", "scenes", "--like", "sea", "--json", "--min-score", 0.99).json
    assert [each["region"]["region_id"] for each in told["objects"]] == ["sea#0", "sea#1"]
    assert [hit["image_id"] for hit in told["objects"][1]["hits"]] == ["pets", "sea"]
    assert [hit["image_id"] for hit in told["pictures"]] == ["sea"]


def test_a_picture_without_any_object_is_told_to_be_that(run, stored, sheet):
    stored.write_bytes(b" ")
    ended = run("scene", "scenes", stored, "--open")
    assert (ended.status, ended.err) == (0, "")
    assert "No object was found in the picture." in ended.out
    assert "No object was found in the picture." in Page(sheet()).text


def test_a_scene_sheet_has_a_section_for_each_object_and_one_for_all(run, stored, sheet):
    ended = run("scene", "scenes", stored, "--limit", 1, "--open")
    assert "Contact sheet: " in ended.out
    text = sheet()
    page = Page(text)
    assert text.count("<section>") == 3
    assert re.search(
        r"hold all of them.*1\. pets.*1: 1\.0000, 2: 1\.0000.*1\. dog.*farm.*2\. fish.*pets", page.text, re.DOTALL
    )
    assert [image["alt"] for image in page.images] == ["The query picture", "pets", "farm", "pets"]
    # The objects of the query, those of the picture that holds both, one for each hit.
    assert text.count("<polygon") == 2 + 2 + 1 + 1
    assert all(link.startswith("data:image/") for link in page.links)
    assert "2 of 2 objects in 1.0 ms" in page.text


@pytest.mark.parametrize("arguments", [[], ["query.jpg", "--like", "sea"]])
def test_a_scene_is_of_one_picture(run, stored, monkeypatch, arguments):
    monkeypatch.chdir(stored.parent)
    ended = run("scene", "scenes", *arguments)
    assert ended.status == 2
    assert "give a picture, or --like ID" in ended.err
