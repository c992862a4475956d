import base64
import re
from html.parser import HTMLParser

import pytest

from pixvec.cli.contact_sheet import fetch_hits, write_contact_sheet
from pixvec.cli.sheet_page import SheetHit
from pixvec.client.values import Coverage, SearchResult, Timings
from tests.pictures import encode, make_picture

TIMINGS = Timings(total=0.0123, queue=0, decode=0, inference=0, search=0.004, merge=0, hydrate=0)
RESULT = SearchResult((), Coverage(3, 2), TIMINGS, "image")


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.text, self._open = [], [], "", []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.links += [named[name] for name in ("src", "href") if name in named]
        if tag == "img":
            self.images.append(named)
        elif tag not in ("meta",):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.text += data


@pytest.fixture
def write(tmp_path):
    def write(query=b"\xff\xd8 query", *hits, title="a title", text=""):
        file = tmp_path / "made" / "for it" / "sheet.html"
        write_contact_sheet(file, title, query, hits, RESULT, text)
        return Page(file.read_text(encoding="utf-8"))

    return write


def test_a_page_shows_the_query_and_every_hit_in_order(write):
    page = write(b"\xff\xd8 query", SheetHit("a.jpg", 0.98765, b"first"), SheetHit("b.jpg", 0.5, b"second"))
    assert [image["alt"] for image in page.images] == ["The query picture", "a.jpg", "b.jpg"]
    contents = [base64.b64decode(image["src"].partition(",")[2]) for image in page.images]
    assert contents == [b"\xff\xd8 query", b"first", b"second"]
    assert re.search(r"0\.9877.*1\. a\.jpg.*0\.5000.*2\. b\.jpg", page.text, re.DOTALL)
    assert "0 hits in 12.3 ms (search 4.0 ms); 2 of 3 shards answered." in page.text


def test_a_page_shows_the_text_that_was_searched_by_alone_or_below_a_picture(write):
    alone = write(None, SheetHit("a.jpg", 0.5, b"first"), text="a <red> car")
    assert [image["alt"] for image in alone.images] == ["a.jpg"]
    assert "a <red> car" in alone.text
    both = write(b"\xff\xd8 query", text="by night")
    assert [image["alt"] for image in both.images] == ["The query picture"]
    assert "by night" in both.text


def test_a_page_needs_nothing_but_itself(write):
    page = write(b"query", SheetHit("a.jpg", 1.0, b"x"))
    assert all(link.startswith("data:image/") for link in page.links)


def test_names_cannot_become_markup(write):
    name = "</title><script>alert('x')</script>\" onload=\"x"
    page = write(b"query", SheetHit(name, 1.0, b"x"), title=name)
    assert page.images[1]["alt"] == name
    assert page.text.count(name) == 3


@pytest.mark.parametrize(("score", "share"), [(0.25, 25), (1.5, 100), (-0.3, 0), (float("-inf"), 0)])
def test_the_bar_of_any_score_fits_its_card(tmp_path, score, share):
    write_contact_sheet(tmp_path / "sheet.html", "t", b"q", [SheetHit("a", score, b"x")], RESULT)
    assert f"width: {share}%" in (tmp_path / "sheet.html").read_text()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_query_is_shown_as_what_it_is(write, kind):
    page = write(encode(make_picture(1), kind))
    assert page.images[0]["src"].startswith(f"data:image/{kind.lower()};base64,")


def test_thumbnails_come_from_the_gateway(photos):
    photos.ingest("photos", [("a", b"a picture"), ("b", b"another")]).wait()
    hits = fetch_hits(photos, "photos", photos.search("photos", image=b"another"))
    assert [(hit.image_id, hit.thumbnail) for hit in hits] == [("b", b"another"), ("a", b"a picture")]
