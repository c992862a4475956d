import pytest

from pixvec.catalogue.acceptance import Policy, StoredImage, Verdict, decide, same_attributes, screen
from pixvec.catalogue.interfaces import NewItem
from pixvec.domain import OnExisting

LIVE = StoredImage(live=True, pending=False, content_hash="h", attributes={"a": 1})
PENDING = StoredImage(live=False, pending=True, content_hash="h", attributes={"a": 1})
FAILED = StoredImage(live=False, pending=False, content_hash="h", attributes={"a": 1})
RENEWED = StoredImage(live=True, pending=True, content_hash="h", attributes={"a": 1})
SAME = NewItem(0, "x", {"a": 1}, content_hash="h")


@pytest.mark.parametrize(
    ("stored", "replace", "skip", "fail"),
    [
        (None, Verdict.WORK, Verdict.WORK, Verdict.WORK),
        (LIVE, Verdict.UNCHANGED, Verdict.UNCHANGED, Verdict.FAILED),
        (PENDING, Verdict.WORK, Verdict.UNCHANGED, Verdict.FAILED),
        (FAILED, Verdict.WORK, Verdict.WORK, Verdict.WORK),
        (RENEWED, Verdict.WORK, Verdict.UNCHANGED, Verdict.FAILED),
    ],
)
def test_what_becomes_of_the_same_picture_again(stored, replace, skip, fail):
    there = {} if stored is None else {"x": stored}
    for on_existing, verdict in zip(OnExisting, (replace, skip, fail), strict=True):
        [decision] = decide([SAME], there, Policy(on_existing))
        assert decision.verdict is verdict
        assert (decision.error is not None) == (verdict is Verdict.FAILED)


def test_a_picture_by_uri_is_always_work():
    [decision] = decide([NewItem(0, "x", {"a": 1}, uri="file:///x")], {"x": LIVE}, Policy(OnExisting.REPLACE))
    assert decision.verdict is Verdict.WORK


@pytest.mark.parametrize(
    ("on_existing", "verdicts"),
    [
        (OnExisting.REPLACE, [Verdict.SUPERSEDED, Verdict.SUPERSEDED, Verdict.WORK]),
        (OnExisting.SKIP, [Verdict.WORK, Verdict.UNCHANGED, Verdict.UNCHANGED]),
        (OnExisting.FAIL, [Verdict.WORK, Verdict.FAILED, Verdict.FAILED]),
    ],
)
def test_of_one_id_several_times_one_counts(on_existing, verdicts):
    items = [NewItem(n, "x", {}, content_hash=str(n)) for n in range(3)]
    assert [decision.verdict for decision in decide(items, {}, Policy(on_existing))] == verdicts


def test_screening_keeps_the_first_of_an_ordinal_and_sorts():
    sound, refused = screen([NewItem(2, "b", {}), NewItem(1, "a", {}), NewItem(2, "c", {})])
    assert [(item.ordinal, item.image_id) for item in sound] == [(1, "a"), (2, "b")]
    assert refused == []


def test_what_is_refused_can_be_stored_and_says_why():
    sound, refused = screen([NewItem(n, bad, {}) for n, bad in enumerate(["", "a\0b", "\ud800", "ü" * 257])])
    assert sound == []
    for decision in refused:
        assert decision.error is not None
        assert "\0" not in decision.item.image_id
        decision.item.image_id.encode()
        decision.error.message.encode()


def test_attributes_differ_by_type():
    assert same_attributes({"a": 1, "b": ["x"]}, {"b": ["x"], "a": 1})
    assert not same_attributes({"a": 1}, {"a": 1.0})
    assert not same_attributes({"a": 1}, {"a": True})
