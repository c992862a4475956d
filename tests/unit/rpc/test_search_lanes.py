import asyncio

import pytest

from pixvec.domain import Hit, SearchOptions
from pixvec.errors import DigestMismatch, InvalidVector, ShardUnavailable, Unavailable
from pixvec.rpc.search_lanes import SearchLanes
from pixvec.rpc.shard_search import ShardAnswer, ShardSearch
from tests.in_loop import in_loop


class Searcher:
    """Answers each vector with a hit of its name, once let go."""

    def __init__(self):
        self.calls: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.error = None

    async def send(self, address, search, vectors, timeout_s):
        self.calls.append(list(vectors))
        await self.gate.wait()
        if self.error:
            raise self.error
        if b"poison" in vectors:
            raise InvalidVector("not this one", field="vector")
        return [ShardAnswer([Hit(vector.decode(), 1.0)], search.shards) for vector in vectors]


def query(name, **fields):
    values = {"collection_id": 1, "shards": (0,), "space": "image", "k": 3} | fields
    return ShardSearch(vector=name.encode(), **values)


async def asked(lanes, names, timeout_s=10, **fields):
    """Ask for all at once; return the tasks when each has come to wait."""
    tasks = [asyncio.ensure_future(lanes.search("here", query(name, **fields), timeout_s)) for name in names]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def names(answers):
    return [answer.hits[0].image_id for answer in answers]


@in_loop
async def test_a_lone_query_goes_at_once():
    searcher = Searcher()
    searcher.gate.set()
    lanes = SearchLanes(searcher.send)
    for name in ("a", "b"):
        assert (await lanes.search("here", query(name), 10)).hits[0].image_id == name
    assert searcher.calls == [[b"a"], [b"b"]]
    assert not len(lanes._lanes), "an idle lane is forgotten"


@in_loop
async def test_what_comes_meanwhile_goes_together_and_each_gets_its_own_answer():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    tasks = await asked(lanes, "abcd")
    assert searcher.calls == [[b"a"]]
    searcher.gate.set()
    assert names(await asyncio.gather(*tasks)) == list("abcd")
    assert searcher.calls == [[b"a"], [b"b", b"c", b"d"]]


@in_loop
async def test_many_waiting_queries_are_worth_another_call():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    tasks = await asked(lanes, "abcdefghijk")
    assert [len(call) for call in searcher.calls] == [1, 8]
    searcher.gate.set()
    assert names(await asyncio.gather(*tasks)) == list("abcdefghijk")


@pytest.mark.parametrize(
    "other",
    [
        {"k": 4},
        {"shards": (1,)},
        {"digest": b"d"},
        {"min_score": 0.5},
        {"space": "region"},
        {"options": SearchOptions(exact=True)},
    ],
)
@in_loop
async def test_queries_that_differ_do_not_go_together(other):
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    await asked(lanes, "a")
    await asked(lanes, "b", **other)
    assert searcher.calls == [[b"a"], [b"b"]]
    searcher.gate.set()


@in_loop
async def test_answers_too_large_for_a_message_go_apart():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    tasks = await asked(lanes, "abc", k=40_000)
    searcher.gate.set()
    await asyncio.gather(*tasks)
    assert searcher.calls == [[b"a"], [b"b"], [b"c"]]


@in_loop
async def test_one_bad_vector_spoils_no_other_query():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    tasks = await asked(lanes, ["a", "b", "poison", "c"])
    searcher.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(2), InvalidVector)
    assert names(answers) == ["a", "b", "c"]


@in_loop
async def test_an_error_of_the_call_reaches_every_query():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    tasks = await asked(lanes, "abc")
    searcher.error = DigestMismatch("another model")
    searcher.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [DigestMismatch] * 3


@in_loop
async def test_a_caller_that_goes_away_holds_up_nobody():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    tasks = await asked(lanes, "abcd")
    tasks[0].cancel()
    tasks[2].cancel()
    searcher.gate.set()
    assert names([await tasks[1], await tasks[3]]) == ["b", "d"]
    assert searcher.calls[1:] == [[b"b", b"d"]]
    assert not len(lanes._lanes)


@in_loop
async def test_a_query_waits_no_longer_than_it_may():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    (first,) = await asked(lanes, "a")
    with pytest.raises(ShardUnavailable, match="in time"):
        await lanes.search("here", query("b"), 0.01)
    searcher.gate.set()
    assert names([await first]) == ["a"]


@in_loop
async def test_a_query_behind_a_call_that_is_stuck_goes_after_a_part_of_its_time():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    (stuck,) = await asked(lanes, "a")
    (behind,) = await asked(lanes, "b", timeout_s=0.2)
    assert searcher.calls == [[b"a"]]
    with pytest.raises(ShardUnavailable, match="did not answer in time"):
        await behind
    assert searcher.calls == [[b"a"], [b"b"]]
    searcher.gate.set()
    await stuck


@in_loop
async def test_those_whose_call_is_cut_off_do_not_wait_for_their_time_to_pass():
    searcher = Searcher()
    lanes = SearchLanes(searcher.send)
    searcher.error = asyncio.CancelledError()
    (first,) = await asked(lanes, "a")
    others = await asked(lanes, "bc")
    searcher.gate.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [type(each) for each in answers[1:]] == [Unavailable, Unavailable]
    assert not len(lanes._lanes)
