import pytest

from pixvec.errors import NoTextTower


@pytest.fixture
def stored(photos, pictures):
    """Two pictures: `a.jpg` is as the text "a picture"."""
    (pictures / "empty.jpg").unlink()
    photos.ingest("photos", [pictures]).wait()
    return pictures


LABELS = ("--label", "another picture", "--label", "a picture")


def test_pictures_are_said_to_be_of_the_likeliest_label_first(run, stored):
    ended = run("classify", "photos", stored / "a.jpg", stored / "sub" / "b[all].png", *LABELS)
    assert (ended.status, ended.err) == (0, "")
    rows = [line for line in ended.out.splitlines() if "picture" in line and "." in line]
    labels = ["another" in row for row in rows if "0." in row or "1.0" in row]
    assert labels == [False, True, True, False]
    assert "a.jpg" in ended.out
    assert "b[all].png" in ended.out


def test_images_of_the_collection_are_classified(run, stored, server):
    told = run(
        "classify", "photos", "--like", "a.jpg", *LABELS, "--template", "no {}", "--space", "clip", "--json"
    ).json
    (picture,) = told["pictures"]
    assert picture["picture"] == "a.jpg"
    assert list(picture["labels"]) == ["a picture", "another picture"]
    assert sum(picture["labels"].values()) == pytest.approx(1)
    assert told["exclusive"] is True
    (asked,) = server.called("Classify")
    assert (list(asked.image_ids.ids), list(asked.templates), asked.space) == (["a.jpg"], ["no {}"], "clip")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--label", "cat"], "give pictures, or --like ID"),
        (["a.jpg", "--like", "a.jpg", "--label", "cat"], "give pictures, or --like ID"),
        (["a.jpg"], "give labels: --label cat --label dog"),
    ],
)
def test_wrong_usage_is_told(run, stored, monkeypatch, arguments, told):
    monkeypatch.chdir(stored)
    ended = run("classify", "photos", *arguments)
    assert ended.status == 2
    assert told in ended.err


def test_a_refusal_is_one_line(run, stored, server):
    server.refuse("Classify", NoTextTower("no space of photos takes texts"))
    assert run("classify", "photos", stored / "a.jpg", *LABELS).err == "error: no space of photos takes texts\n"
