from hypothesis import given
from hypothesis import strategies as st

from pixvec.catalogue.attempts import MAX_ATTEMPTS, charged, exhausted, exhaustion, is_last, pause_s, refunded


def test_the_first_two_leases_charge_all_and_later_ones_the_first():
    assert charged([0, 0, 0]) == [0, 1, 2]
    assert charged([1, 1, 1]) == [0, 1, 2]
    assert charged([2, 2, 2]) == [0]
    assert charged([]) == []


def test_only_an_item_with_every_attempt_is_exhausted():
    assert exhausted([3, 2, 2]) == [0]
    assert exhausted([2, 2]) == []


def test_a_passing_trouble_is_given_time_to_pass():
    pauses = [pause_s(attempt) for attempt in range(1, MAX_ATTEMPTS)]
    assert pauses == sorted(pauses)
    assert pauses[0] > 0
    assert [is_last(attempt) for attempt in range(1, MAX_ATTEMPTS + 1)] == [False] * (MAX_ATTEMPTS - 1) + [True]


def test_the_error_names_the_item_and_what_to_do():
    error = exhaustion("cat.jpg", "file:///pictures/cat.jpg")
    assert error.reason == "ATTEMPTS_EXHAUSTED"
    assert error.retryable
    assert "file:///pictures/cat.jpg" in error.message
    assert "send it again" in error.message


@given(behind=st.integers(0, MAX_ATTEMPTS - 1), size=st.integers(1, 6))
def test_giving_a_lease_back_leaves_no_more_attempts_than_before(behind, size):
    attempts = [behind] * size
    leased = list(attempts)
    for place in charged(leased):
        leased[place] += 1
    assert leased != attempts
    for place in refunded(leased):
        leased[place] -= 1
    assert all(0 <= now <= before for now, before in zip(leased, attempts, strict=True))


@given(killers=st.sets(st.integers(0, 5)))
def test_only_what_kills_its_worker_is_given_up(killers):
    """Workers take everything at once first and one by one afterwards, and die at the first killer they meet."""
    attempts = dict.fromkeys(range(6), 0)
    given_up = set()
    for _ in range(100):
        order = sorted(attempts)
        gone = [order[place] for place in exhausted([attempts[each] for each in order])]
        given_up.update(gone)
        order = [each for each in order if each not in gone]
        attempts = {each: attempts[each] for each in order}
        if not order:
            break
        for place in charged([attempts[each] for each in order]):
            attempts[order[place]] += 1
        one_by_one = attempts[order[0]] > 1
        for each in order:
            if each in killers if one_by_one else killers & attempts.keys():
                break
            del attempts[each]
    assert attempts == {}
    assert given_up == killers
