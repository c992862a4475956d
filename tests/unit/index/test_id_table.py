from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec.index.id_table import IdTable, pack_ids


def table(folder: Path, image_ids: Sequence[str]) -> IdTable:
    path = folder / "ids.bin"
    path.write_bytes(pack_ids(image_ids))
    return IdTable(path)


def check(ids: IdTable, image_ids: Sequence[str]) -> None:
    """See that the table says of every row and every image what the list says."""
    assert ids.row_count == len(image_ids)
    assert ids.ids(np.arange(len(image_ids))) == list(image_ids)
    expected: dict[str, range] = {}
    begin = 0
    for image_id, rows in groupby(image_ids):
        expected[image_id] = range(begin, begin + len(list(rows)))
        begin = expected[image_id].stop
    assert ids.find(list(expected)) == list(expected.values())
    assert ids.image_count == len(expected)


@pytest.mark.parametrize(
    "image_ids",
    [
        [],
        ["one"],
        [""],
        ["b", "a", "c"],
        ["many"] * 1000,
        ["a", "b", "b", "b", "c", "d", "d"],
        ["été/φ.png", "🖼️", "e\u0301te\u0301/φ.png", "été/φ.pn"],
        ["x" * 512, "x" * 511, "ü" * 256, "x" * 510 + "y"],
        ["a\x00b", "a", "a\x00", "\x00"],
        [f"image-{number}" for number in range(5000)],
    ],
    ids=["none", "one", "empty", "order", "rows", "some rows", "unicode", "longest", "zero bytes", "many"],
)
def test_every_row_and_every_image_is_found(tmp_path: Path, image_ids: list[str]) -> None:
    check(table(tmp_path, image_ids), image_ids)


def test_rows_in_any_order_and_twice(tmp_path: Path) -> None:
    ids = table(tmp_path, ["a", "b", "b", "c"])
    assert ids.ids(np.array([3, 2, 2, 0, 1])) == ["c", "b", "b", "a", "b"]
    assert ids.ids(np.array([], np.int64)) == []


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    ids = table(tmp_path, ["a", "b", "b"])
    assert ids.find(["c", "", "A", "bb", "a"]) == [range(0), range(0), range(0), range(0), range(1)]
    assert ids.find([]) == []
    assert table(tmp_path, []).find(["a"]) == [range(0)]


@pytest.mark.parametrize("value", [0, 7, 2**64 - 1], ids=["least", "some", "greatest"])
def test_images_of_equal_hashes_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: int) -> None:
    monkeypatch.setattr(xxhash, "xxh64_intdigest", lambda _: value)
    image_ids = ["d", "a", "a", "c", "b"]
    ids = table(tmp_path, image_ids)
    check(ids, image_ids)
    assert ids.find(["e", ""]) == [range(0), range(0)]


def test_some_equal_hashes_among_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xxhash, "xxh64_intdigest", lambda each: len(each))
    image_ids = ["aa", "b", "cc", "cc", "ddd", "ee", "f"]
    check(table(tmp_path, image_ids), image_ids)


_IDS = st.text(st.characters(codec="utf-8"), max_size=6)


@settings(deadline=None)
@given(st.lists(st.tuples(_IDS, st.integers(1, 3)), unique_by=lambda image: image[0]))
def test_any_ids(tmp_path_factory: pytest.TempPathFactory, images: list[tuple[str, int]]) -> None:
    image_ids = [image_id for image_id, rows in images for _ in range(rows)]
    check(table(tmp_path_factory.mktemp("ids"), image_ids), image_ids)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids.bin"
    path.write_bytes(bytes(64))
    with pytest.raises(ValueError, match="no id table"):
        IdTable(path)
