import re
import webbrowser

import pytest

from pixvec.api.v1.common_pb2 import SearchParams
from pixvec.cli import contact_sheet
from pixvec.errors import InvalidRequest


@pytest.fixture
def stored(photos, pictures):
    """Two pictures, searched for by a copy of one."""
    (pictures / "empty.jpg").unlink()
    photos.ingest("photos", [pictures]).wait()
    return pictures


def test_a_picture_finds_its_copy(run, stored):
    ended = run("search", "photos", stored / "a.jpg")
    assert (ended.status, ended.err) == (0, "")
    rows = [line for line in ended.out.splitlines() if "jpg" in line or "png" in line]
    assert "a.jpg" in rows[0]
    assert "1.0000" in rows[0]
    assert "sub/b[all].png" in rows[1]
    assert "search 1.0 ms" in ended.out
    assert "total 1.0 ms, 1 of 1 shards answered" in ended.out


def test_an_image_that_is_in_finds_its_likes(run, stored, server):
    assert run("search", "photos", "--like", "sub/b[all].png", "--limit", 1).status == 0
    query = server.called("Query")[0]
    assert (query.image_id, query.limit) == ("sub/b[all].png", 1)


def test_a_text_finds_what_it_says(run, stored, server):
    ended = run("search", "photos", "--text", "a picture", "--space", "clip")
    assert (ended.status, ended.err) == (0, "")
    assert re.search(r"1 .*a\.jpg.*1\.0000", ended.out)
    query = server.called("Query")[0]
    assert (query.text, query.space) == ("a picture", "clip")


def test_a_picture_and_a_text_are_weighed_together(run, stored, server):
    assert run("search", "photos", stored / "a.jpg", "--text", "by night", "--text-weight", 0.5).status == 0
    assert run("search", "photos", "--like", "a.jpg", "--text", "by night").status == 0
    shown, by_id = (list(query.combination.parts) for query in server.called("Query"))
    assert (shown[0].image, shown[1].text, shown[1].weight) == (b"a picture", "by night", 0.5)
    assert (by_id[0].image_id, by_id[1].text, by_id[1].weight) == ("a.jpg", "by night", 1)


def test_spaces_are_fused_and_each_tells_its_score(run, stored, server, photos):
    photos.create_collection("mixed", spaces={"colours": "hues"}, regions="words")
    photos.ingest("mixed", [stored]).wait()
    ended = run("search", "mixed", stored / "a.jpg", "--fuse", "image", "--fuse", "colours=0.5")
    assert (ended.status, ended.err) == (0, "")
    heads, row = (next(line for line in ended.out.splitlines() if word in line) for word in ("rank", "a.jpg"))
    assert re.search(r"score.*in colours.*in image", heads)
    # By ranks: first in both.
    assert re.search(rf"{1.5 / 61:.4f}.*1\.0000.*1\.0000", row)
    assert [(each.space, each.weight) for each in server.called("Query")[-1].fusion.spaces] == [
        ("image", 1),
        ("colours", 0.5),
    ]
    by_score = ("--fuse", "image=3", "--fuse", "region=1", "--fuse-method", "weighted")
    told = run("search", "mixed", "--like", "a.jpg", *by_score, "--json").json["hits"]
    assert set(told[0]["scores"]) == {"image", "region"}
    shown = run("search", "mixed", "--like", "a.jpg", *by_score).out
    assert re.search(r"in image.*in region.*region", next(line for line in shown.splitlines() if "rank" in line))
    assert "a.jpg#" in shown


def test_the_sheet_of_fused_spaces_tells_their_scores(run, stored, monkeypatch, tmp_path, photos):
    monkeypatch.setattr(webbrowser, "open", lambda _: True)
    monkeypatch.setattr(contact_sheet.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    photos.create_collection("mixed", spaces={"colours": "hues"})
    photos.ingest("mixed", [stored]).wait()
    assert run("search", "mixed", "--like", "a.jpg", "--fuse", "image", "--fuse", "colours", "--open").status == 0
    page = (tmp_path / "contact-sheet.html").read_text()
    assert "colours 1.00, image 1.00" in page
    # Two first ranks of two are all there can be.
    assert f"{2 / 61:.4f}" in page
    assert "width: 100" in page


@pytest.mark.parametrize(
    ("fuse", "message"),
    [(["image=much"], "SPACE or SPACE=WEIGHT"), (["image", "image=2"], "names space 'image' twice")],
)
def test_spaces_that_are_not_named_well_are_wrong_usage(run, stored, fuse, message):
    ended = run("search", "photos", stored / "a.jpg", *(part for each in fuse for part in ("--fuse", each)))
    assert ended.status == 2
    assert message in " ".join(ended.err.split())


def test_how_hard_to_search_can_be_said(run, stored, server):
    assert run("search", "photos", stored / "a.jpg").status == 0
    run("search", "photos", stored / "a.jpg", "--exact", "--ef", 300, "--nprobe", 20, "--rescore", -1)
    plain, hard = server.called("Query")
    assert not plain.HasField("params")
    assert hard.params == SearchParams(exact=True, ef=300, nprobe=20, rescore=-1)


def test_as_json_it_says_the_same(run, stored):
    told = run("search", "photos", stored / "a.jpg", "--json", "--min-score", 0.99).json
    assert [(hit["image_id"], round(hit["score"], 4)) for hit in told["hits"]] == [("a.jpg", 1.0)]
    assert told["timings"]["total"] > 0
    assert told["coverage"] == {"shards_total": 1, "shards_answered": 1}
    missing = {"attributes_missing", "regions_missing", "matches_missing"}
    assert set(told) == {"hits", "timings", "coverage", "space"} | missing
    assert told["space"]
    assert not any(told[each] for each in missing)


def test_a_long_id_can_be_read_and_copied(run, stored, photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    photos.ingest("photos", [("z" * 90, b"a picture")]).wait()
    assert run("search", "photos", stored / "a.jpg").out.count("z") == 90


@pytest.mark.parametrize("arguments", [[], ["a.jpg", "--like", "a.jpg"]])
def test_one_thing_is_searched_by(run, stored, monkeypatch, arguments):
    monkeypatch.chdir(stored)
    ended = run("search", "photos", *arguments)
    assert ended.status == 2
    assert "give a picture, or --like ID" in ended.err


@pytest.mark.parametrize("by", [["a.jpg"], ["--like", "a.jpg"], []])
def test_a_box_and_a_text_do_not_go_together(run, stored, monkeypatch, by):
    monkeypatch.chdir(stored)
    ended = run("search", "photos", *by, "--box", "0,0,1,1", "--text", "a car")
    assert ended.status == 2
    assert "--box goes with a picture or --like alone: leave --text out" in " ".join(ended.err.split())


def test_a_picture_that_is_not_there_is_wrong_usage(run, photos, tmp_path):
    for missing in (tmp_path / "nowhere.jpg", tmp_path):
        ended = run("search", "photos", missing)
        assert ended.status == 2
        assert missing.name in "".join(ended.err.split())


def test_a_file_that_is_no_picture_is_refused_with_the_servers_reason(run, stored):
    assert run("search", "photos", stored.parent / "pictures" / "notes.txt").status == 0
    (stored / "void.jpg").touch()
    assert run("search", "photos", stored / "void.jpg") == (1, "", "error: the file is empty\n")


def test_what_is_not_there_is_named(run, stored):
    assert run("search", "cats", stored / "a.jpg").err == "error: there is no collection 'cats'\n"
    assert run("search", "photos", "--like", "[none]").err == "error: collection 'photos' holds no image '[none]'\n"


def test_a_gateway_that_is_not_there_is_told_with_the_way_out(run, nobody, pictures):
    status, out, err = run("search", "photos", pictures / "a.jpg")
    assert (status, out) == (1, "")
    assert nobody in err
    assert "pixvec up" in err


def test_the_address_may_be_given(run, stored, server, monkeypatch):
    monkeypatch.delenv("PIXVEC_ADDRESS")
    assert run("search", "photos", stored / "a.jpg", "--address", server.address).status == 0


@pytest.mark.parametrize("by", ["picture", "like", "text"])
def test_hits_are_shown_in_a_browser(run, stored, monkeypatch, tmp_path, by):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(contact_sheet.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    query = {"like": ["--like", "a.jpg"], "picture": [stored / "a.jpg"], "text": ["--text", "a red car"]}[by]
    ended = run("search", "photos", *query, "--open")
    sheet = tmp_path / "contact-sheet.html"
    assert opened == [sheet.as_uri()]
    assert f"Contact sheet: {sheet}\n" in ended.out
    assert "b[all].png" in sheet.read_text()
    assert ("a red car" in sheet.read_text()) is (by == "text")


def test_a_refusal_is_one_line(run, stored, server):
    server.refuse("Query", InvalidRequest("the limit is at most 10,000", field="limit"))
    assert run("search", "photos", stored / "a.jpg", "--limit", 20_000).err == "error: the limit is at most 10,000\n"


def test_an_id_that_is_not_utf8_is_refused_in_one_line(run, stored):
    status, _, err = run("search", "photos", "--like", "\udcff")
    assert status == 1
    assert err == "error: image_id '\\udcff' is not UTF-8: there can be no such name\n"
