import os
from pathlib import Path

import fsspec
import pytest

from pixvec.errors import ContentNotFound, PictureTooLarge, Unavailable, UriNotAllowed
from pixvec.jobs.sources import UriSources, join


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


@pytest.fixture
def sources(root: Path) -> UriSources:
    return UriSources([f"file://{root}"], 1000)


def test_a_file_under_a_root_is_fetched(sources: UriSources, root: Path) -> None:
    (root / "a.jpg").write_bytes(b"picture")
    assert sources.fetch(f"file://{root}/a.jpg") == b"picture"


@pytest.mark.parametrize("name", ["a b.jpg", "50%.jpg", "ü.jpg", "a?b#c.jpg", os.fsdecode(b"\xff.jpg")])
def test_any_name_survives_the_way_through_a_uri(sources: UriSources, root: Path, name: str) -> None:
    (root / name).write_bytes(b"picture")
    prefix = f"file://{root}"
    assert sources.list(prefix) == [name]
    assert sources.fetch(join(prefix, name)) == b"picture"


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.org/a.jpg",
        "https://example.org/a.jpg",
        "file:///etc/passwd",
        "file://otherhost/a.jpg",
        "file://relative.jpg",
        "s3://bucket/a.jpg",
        "/etc/passwd",
        "a.jpg",
        "",
        "file:///a%00.jpg",
    ],
)
def test_everything_else_is_refused(sources: UriSources, uri: str) -> None:
    for call in (sources.check, sources.fetch, sources.list):
        with pytest.raises(UriNotAllowed) as refused:
            call(uri)
        assert refused.value.field == "uri"


def test_a_refusal_names_the_roots(sources: UriSources, root: Path) -> None:
    with pytest.raises(UriNotAllowed, match=str(root)):
        sources.check("file:///etc/passwd")


def test_without_roots_nothing_is_allowed() -> None:
    with pytest.raises(UriNotAllowed, match="pixvec up --root"):
        UriSources([], 10).check("file:///tmp/a.jpg")


def test_a_web_root_allows_no_web_address() -> None:
    with pytest.raises(UriNotAllowed, match="send the picture's bytes"):
        UriSources(["https://example.org"], 10).check("https://example.org/a.jpg")


def test_a_way_up_does_not_lead_out(sources: UriSources, root: Path) -> None:
    (root.parent / "secret.jpg").write_bytes(b"secret")
    for uri in (f"file://{root}/../secret.jpg", f"file://{root}/%2e%2e/secret.jpg"):
        with pytest.raises(UriNotAllowed):
            sources.fetch(uri)


def test_a_link_does_not_lead_out(sources: UriSources, root: Path) -> None:
    (root.parent / "secret.jpg").write_bytes(b"secret")
    (root / "link.jpg").symlink_to(root.parent / "secret.jpg")
    with pytest.raises(UriNotAllowed):
        sources.fetch(f"file://{root}/link.jpg")


def test_a_link_that_changes_after_the_check_does_not_lead_out(
    sources: UriSources, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root.parent / "secret.jpg").write_bytes(b"secret")
    (root / "link.jpg").symlink_to(root.parent / "secret.jpg")
    monkeypatch.setattr(sources, "check", lambda uri: None)
    with pytest.raises(UriNotAllowed):
        sources.fetch(f"file://{root}/link.jpg")


def test_a_link_inside_is_followed(sources: UriSources, root: Path) -> None:
    (root / "a.jpg").write_bytes(b"picture")
    (root / "link.jpg").symlink_to("a.jpg")
    assert sources.fetch(f"file://{root}/link.jpg") == b"picture"


def test_a_root_may_be_a_link(root: Path) -> None:
    (root / "a.jpg").write_bytes(b"picture")
    (root.parent / "alias").symlink_to(root)
    sources = UriSources([f"file://{root.parent}/alias"], 1000)
    assert sources.fetch(f"file://{root.parent}/alias/a.jpg") == b"picture"


def test_a_neighbour_with_the_same_beginning_is_not_under_the_root(sources: UriSources, root: Path) -> None:
    with pytest.raises(UriNotAllowed):
        sources.check(f"file://{root}-more/a.jpg")


def test_a_file_that_is_gone_is_not_found(sources: UriSources, root: Path) -> None:
    with pytest.raises(ContentNotFound, match=r"none\.jpg"):
        sources.fetch(f"file://{root}/none.jpg")


def test_a_folder_is_no_picture(sources: UriSources, root: Path) -> None:
    with pytest.raises(ContentNotFound):
        sources.fetch(f"file://{root}")


def test_a_folder_asked_for_leaves_no_file_open(sources: UriSources, root: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(ContentNotFound):
        sources.fetch(f"file://{root}")
    assert set(Path("/proc/self/fd").iterdir()) <= before


def test_what_can_never_be_a_file_is_not_found_at_once(sources: UriSources, root: Path) -> None:
    (root / "circle.jpg").symlink_to("circle.jpg")
    for name in ("x" * 300 + ".jpg", "circle.jpg", "x/" * 3000 + "a.jpg", "circle.jpg/a.jpg"):
        with pytest.raises(ContentNotFound):
            sources.fetch(f"file://{root}/{name}")
        with pytest.raises(ContentNotFound):
            sources.list(f"file://{root}/{name}")


def test_a_pipe_holds_nobody(sources: UriSources, root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    with pytest.raises(ContentNotFound, match="not a file"):
        sources.fetch(f"file://{root}/pipe.jpg")


def test_a_file_beyond_the_limit_is_refused(sources: UriSources, root: Path) -> None:
    (root / "big.jpg").write_bytes(b"x" * 1001)
    with pytest.raises(PictureTooLarge, match="1,000 bytes"):
        sources.fetch(f"file://{root}/big.jpg")


def test_a_listing_holds_pictures_sorted_by_path(sources: UriSources, root: Path) -> None:
    for name in ("b/2.PNG", "b/10.png", "a.jpg", "notes.txt", ".hidden.jpg", ".trash/x.jpg"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    assert sources.list(f"file://{root}") == sources.list(f"file://{root}/") == ["a.jpg", "b/10.png", "b/2.PNG"]


def test_a_listing_of_a_single_file_is_that_file(sources: UriSources, root: Path) -> None:
    (root / "a.jpg").write_bytes(b"x")
    uri = f"file://{root}/a.jpg"
    assert [join(uri, path) for path in sources.list(uri)] == [uri]


def test_a_listing_of_nothing_is_not_found(sources: UriSources, root: Path) -> None:
    with pytest.raises(ContentNotFound):
        sources.list(f"file://{root}/none")


def test_another_store_works_once_a_root_of_it_is_allowed() -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/in/a.jpg": b"1", "/bucket/in/b/c.png": b"22", "/bucket/out.jpg": b"333"})
    sources = UriSources(["memory://bucket/in"], 1)
    try:
        assert sources.list("memory://bucket/in") == ["a.jpg", "b/c.png"]
        assert sources.fetch(join("memory://bucket/in", "a.jpg")) == b"1"
        with pytest.raises(PictureTooLarge):
            sources.fetch("memory://bucket/in/b/c.png")
        with pytest.raises(ContentNotFound):
            sources.fetch("memory://bucket/in/none.jpg")
        for uri in ("memory://bucket/out.jpg", "memory://bucket/in/../out.jpg", "memory://bucket/inside.jpg"):
            with pytest.raises(UriNotAllowed):
                sources.fetch(uri)
    finally:
        store.store.clear()


class ClientError(Exception):
    """What a cloud's client raises: of no class that anyone else knows."""


@pytest.mark.parametrize("call", ["size", "cat_file", "find"])
def test_whatever_a_remote_stores_client_raises_means_unavailable(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def down(*_: object, **__: object) -> None:
        raise ClientError("SlowDown: please reduce your request rate")

    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/a.jpg": b"1"})
    monkeypatch.setattr(store, call, down)
    sources = UriSources(["memory://bucket"], 10)
    with pytest.raises(Unavailable, match="SlowDown"):
        sources.list("memory://bucket") if call == "find" else sources.fetch("memory://bucket/a.jpg")
    store.store.clear()
