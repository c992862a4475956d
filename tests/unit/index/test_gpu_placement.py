"""What segments take of a device, and which shards go where."""

from types import SimpleNamespace

import pytest

from pixvec.domain import IndexKind, IndexSettings
from pixvec.index.gpu_placement import Need, NeedKey, Part, Purpose, needs_of, place
from pixvec.index.gpu_sizes import Form, Share, default_form, share_of

GB = 10**9


def segment(kind: IndexKind, rows: int, name: str = "a") -> SimpleNamespace:
    """As much of a SealedSegment as is asked for."""
    seal = SimpleNamespace(kind=kind, rows=rows, name=name, settings=IndexSettings(kind))
    return SimpleNamespace(seal=seal, row_count=rows, is_half=True, space=SimpleNamespace(dim=512))


def need(number: int, size: int, purpose: Purpose = Purpose.SEARCH) -> Need:
    part = Part(segment(IndexKind.FLAT, 10), Form.FLAT, Share(size, f"{size}"))  # type: ignore[arg-type]
    return Need(key(number, purpose), (part,))


def key(number: int, purpose: Purpose = Purpose.SEARCH) -> NeedKey:
    return (7, number), purpose


def test_the_arithmetic_of_a_flat_copy() -> None:
    half = share_of(Form.FLAT, 1_000_000, 512, half=True, lists=0)
    assert half == Share(1_028_000_000, "1000000 rows * (512 dimensions * 2 bytes + 4)")
    full = share_of(Form.FLAT, 1_000_000, 512, half=False, lists=0)
    assert full == Share(2_052_000_000, "1000000 rows * (512 dimensions * 4 bytes + 4)")


def test_the_arithmetic_of_lists() -> None:
    lists = share_of(Form.LISTS, 1_000_000, 512, half=True, lists=4_000)
    # Of each list 31 rows of padding, its centroid, and what FAISS keeps of it.
    each = 31 * 512 + 4 * 512 + 4 + 2 * 256 + 24
    assert lists.size_bytes == 1_000_000 * 516 + 4_000 * each
    assert lists.arithmetic == f"1000000 rows * (512 dimensions + 4) + 4000 lists * {each}"


@pytest.mark.parametrize("kind", [kind for kind in IndexKind if kind is not IndexKind.AUTO])
def test_every_kind_has_its_form(kind: IndexKind) -> None:
    wanted = {"flat": Form.FLAT, "hnsw": None, "ivf": Form.LISTS}
    assert default_form(kind) is wanted[kind.split("_")[0]]


def test_what_a_shard_needs_by_purpose() -> None:
    flat, graph, lists = (
        segment(kind, 50_000, kind) for kind in (IndexKind.FLAT_INT8, IndexKind.HNSW, IndexKind.IVF_PQ)
    )
    small = segment(IndexKind.FLAT, 9_999)
    search, exact = needs_of((7, 1), [flat, graph, lists, small], 10_000)  # type: ignore[list-item]
    assert search.key == key(1, Purpose.SEARCH)
    assert [(part.segment, part.form) for part in search.parts] == [(flat, Form.FLAT), (lists, Form.LISTS)]
    assert exact.key == key(1, Purpose.EXACT)
    assert [(part.segment, part.form) for part in exact.parts] == [(graph, Form.FLAT), (lists, Form.FLAT)]
    assert exact.size_bytes == 2 * 50_000 * 1_028
    assert exact.arithmetic == " + ".join(["50000 rows * (512 dimensions * 2 bytes + 4)"] * 2)
    assert needs_of((7, 1), [small], 10_000) == []  # type: ignore[list-item]


def test_a_shard_goes_where_there_is_most_room() -> None:
    placement = place([need(1, 3 * GB), need(2, 2 * GB), need(3, GB)], [4 * GB, 3 * GB], {})
    assert placement.devices == {key(3): 0, key(2): 0, key(1): 1}
    assert placement.refusals == []


def test_what_is_too_large_for_every_device_is_refused_with_the_sizes() -> None:
    large = need(1, 5 * GB)
    placement = place([large, need(2, GB)], [2 * GB, 4 * GB], {})
    assert placement.devices == {key(2): 1}
    ((refused, free_bytes),) = placement.refusals
    assert (refused, free_bytes) == (large, 3 * GB)


def test_searches_go_before_exact_ones() -> None:
    placement = place([need(1, GB, Purpose.EXACT), need(2, 2 * GB)], [2 * GB], {})
    assert placement.devices == {key(2): 0}
    assert [refusal.need.key for refusal in placement.refusals] == [key(1, Purpose.EXACT)]


def test_what_is_held_stays_where_it_is_and_goes_before_what_is_new() -> None:
    assert place([need(1, GB)], [GB, 9 * GB], {key(1): 0}).devices == {key(1): 0}
    placement = place([need(1, 2 * GB), need(2, GB)], [2 * GB], {key(1): 0})
    assert placement.devices == {key(1): 0}


def test_what_has_grown_moves_to_where_it_fits() -> None:
    assert place([need(1, 2 * GB)], [GB, 9 * GB], {key(1): 0}).devices == {key(1): 1}
    assert place([need(1, 2 * GB)], [GB, GB], {key(1): 0}).devices == {}


def test_one_that_just_fits() -> None:
    assert place([need(1, GB)], [GB], {}).devices == {key(1): 0}
    assert place([need(1, GB + 1)], [GB], {}).devices == {}
