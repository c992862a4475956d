from hypothesis import given
from hypothesis import strategies as st

from pixvec.catalogue.placement import Placed, holders_of, plan_moves

SEARCHERS = st.sets(st.sampled_from([f"searcher-{n}" for n in range(9)]), min_size=1)
SHARDS = st.tuples(st.integers(1, 50), st.integers(0, 255))


@given(shard=SHARDS, searchers=SEARCHERS, replicas=st.integers(0, 4))
def test_as_many_different_holders_as_asked_for_whatever_the_order(shard, searchers, replicas):
    holders = holders_of(*shard, sorted(searchers), replicas)
    assert len(holders) == len(set(holders)) == min(replicas, len(searchers))
    assert holders == holders_of(*shard, sorted(searchers, reverse=True), replicas)


@given(shard=SHARDS, searchers=SEARCHERS, replicas=st.integers(1, 4))
def test_one_searcher_more_or_less_moves_nothing_between_the_others(shard, searchers, replicas):
    before = set(holders_of(*shard, searchers, replicas))
    after = set(holders_of(*shard, searchers | {"new"}, replicas))
    assert after - before <= {"new"}
    assert len(before - after) <= 1


def test_shards_spread_over_searchers():
    counts = {f"searcher-{n}": 0 for n in range(4)}
    for shard in range(256):
        [holder] = holders_of(1, shard, counts, 1)
        counts[holder] += 1
    assert min(counts.values()) > 256 / 4 * 0.6


@given(
    shards=st.sets(SHARDS, min_size=1, max_size=12),
    rounds=st.lists(st.tuples(SEARCHERS, SEARCHERS), min_size=1, max_size=5),
    replicas=st.integers(1, 3),
)
def test_a_shard_with_a_ready_live_holder_keeps_one_through_every_move(shards, rounds, replicas):
    placed: dict[tuple[int, int, str], bool] = {}

    def plan(live, missed):
        return plan_moves(shards, [Placed(*key, ready=ready) for key, ready in placed.items()], live, replicas, missed)

    for live, silent in rounds:
        missed = silent - live
        served = {key[:2] for key, ready in placed.items() if ready and key[2] in live}
        moves = plan(live, missed)
        assert not [key for key in (*moves.added, *moves.removed) if key[2] in missed]
        for waited_for in (missed, set(), set(), set()):
            moves = plan(live, waited_for)
            placed |= dict.fromkeys(moves.added, False)
            for key in moves.removed:
                del placed[key]
            assert served <= {key[:2] for key, ready in placed.items() if ready and key[2] in live}
            placed = {key: ready or key[2] in live for key, ready in placed.items()}
        wanted = {(*shard, holder) for shard in shards for holder in holders_of(*shard, live, replicas)}
        assert set(placed) == wanted


def test_what_a_missed_searcher_holds_is_not_taken_over_before_it_is_gone():
    shards = [(1, shard) for shard in range(16)]
    held = [Placed(*shard, holder, ready=True) for shard in shards for holder in holders_of(*shard, "abc", 1)]
    assert plan_moves(shards, held, ["a"], 1, missed=["b", "c"]) == ([], [])
    moves = plan_moves(shards, held, ["a"], 1, missed=["b"])
    assert {holder for _, _, holder in moves.removed} == {"c"}
    assert {key[:2] for key in moves.added} <= {key[:2] for key in moves.removed}
    assert len(plan_moves(shards, held, ["a"], 1).removed) == len([each for each in held if each.searcher_id != "a"])


def test_a_shard_that_nobody_holds_waits_for_nobody():
    shards = [(1, shard) for shard in range(8)]
    held = [Placed(2, 0, "b", ready=True)]
    assert plan_moves(shards, held, ["a"], 1, missed=["b"]).added == [(*shard, "a") for shard in shards]


def test_a_holder_that_is_not_there_relieves_nobody():
    [wanted] = holders_of(1, 0, "ab", 1)
    [other] = {"a", "b"} - {wanted}
    held = [Placed(1, 0, wanted, ready=True), Placed(1, 0, other, ready=True)]
    assert plan_moves([(1, 0)], held, [other], 1, missed=[wanted]) == ([], [])
    assert plan_moves([(1, 0)], held, ["a", "b"], 1).removed == [(1, 0, other)]


def test_with_no_searcher_live_everything_stays():
    assert plan_moves([(1, 0)], [Placed(1, 0, "gone", ready=True)], [], 1) == ([], [])
