import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.client.joined import JoinedSearches
from pixvec.errors import InvalidVector, ShardUnavailable, Unavailable
from tests.in_loop import in_loop


class Gateway:
    """Finds an image named by the first number of the vector, once let go."""

    def __init__(self, ordinals: Sequence[int] = ()) -> None:
        self.queries: list[pb.QueryRequest] = []
        self.batches: list[pb.QueryBatchRequest] = []
        self.gate = asyncio.Event()
        self.ordinals = ordinals

    async def query(self, request: pb.QueryRequest, timeout_s: float) -> pb.QueryResponse:
        asked = pb.QueryRequest()
        asked.CopyFrom(request)
        self.queries.append(asked)
        await self.gate.wait()
        return pb.QueryResponse(hits=[pb.Hit(image_id=self.name(request.vector.data), score=0.5)], space="image")

    async def query_batch(self, request: pb.QueryBatchRequest, timeout_s: float) -> pb.QueryBatchResponse:
        self.batches.append(request)
        await self.gate.wait()
        rows = np.frombuffer(request.vectors.data, "<f4").reshape(-1, request.vectors.dim)
        found = [
            pb.PackedHits(image_ids=[self.name(row.tobytes())], scores=[0.5], ordinals=self.ordinals) for row in rows
        ]
        return pb.QueryBatchResponse(results=found, space="image", coverage=pb.Coverage(shards_total=3))

    @staticmethod
    def name(vector: bytes) -> str:
        first = int(np.frombuffer(vector, "<f4")[0])
        if first == 13:
            raise InvalidVector("not this one", field="vector")
        if first == 14:
            raise ShardUnavailable("nobody holds it", retry_after_s=0.2)
        return f"image-{first}"


def asked(number: float, dim: int = 2, **fields: object) -> pb.QueryRequest:
    vector = pb.QueryRequest().vector.__class__(data=np.full(dim, number, "<f4").tobytes())
    return pb.QueryRequest(collection="photos", vector=vector, limit=3, **fields)  # type: ignore[arg-type]


async def begun(
    searches: JoinedSearches, requests: Sequence[pb.QueryRequest]
) -> "list[asyncio.Task[pb.QueryResponse]]":
    tasks = [asyncio.ensure_future(searches.search(request, 10.0)) for request in requests]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def names(answers: Sequence[pb.QueryResponse]) -> list[str]:
    return [answer.hits[0].image_id for answer in answers]


@in_loop
async def test_a_lone_search_goes_as_it_is() -> None:
    gateway = Gateway()
    gateway.gate.set()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    for number in (1, 2):
        answer = await searches.search(asked(number, space="image", min_score=0.25), 10.0)
        assert names([answer]) == [f"image-{number}"]
    assert gateway.queries == [asked(1, space="image", min_score=0.25), asked(2, space="image", min_score=0.25)]
    assert not gateway.batches


@in_loop
async def test_those_that_come_meanwhile_share_a_batch_that_says_all_they_said() -> None:
    gateway = Gateway()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    fields = {
        "space": "image",
        "min_score": 0.25,
        "params": {"ef": 77},
        "consistency": pb.CONSISTENCY_SESSION,
        "token": {"positions": [{"shard": 1, "epoch": "e", "seq": 9}]},
    }
    tasks = await begun(searches, [asked(number, **fields) for number in range(1, 6)])
    gateway.gate.set()
    answers = await asyncio.gather(*tasks)
    assert names(answers) == [f"image-{number}" for number in range(1, 6)]
    (batch,) = gateway.batches
    alone = asked(1, **fields)
    assert (batch.space, batch.limit, batch.min_score) == ("image", 3, 0.25)
    assert (batch.params, batch.consistency, batch.token) == (alone.params, alone.consistency, alone.token)
    assert {answer.coverage.shards_total for answer in answers[1:]} == {3}
    assert {answer.hits[0].score for answer in answers} == {0.5}
    assert not answers[1].hits[0].HasField("region")


@in_loop
async def test_a_batch_leaves_unsaid_what_its_searches_do() -> None:
    gateway = Gateway()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    tasks = await begun(searches, [asked(number) for number in (1, 2, 3)])
    gateway.gate.set()
    await asyncio.gather(*tasks)
    (batch,) = gateway.batches
    assert not any(batch.HasField(name) for name in ("min_score", "params", "token"))


@pytest.mark.parametrize(
    "other",
    [
        {"limit": 4},
        {"space": "other"},
        {"min_score": 0.5},
        {"params": {"exact": True}},
        {"collection": "others"},
        {"token": {"positions": [{"shard": 0, "epoch": "e", "seq": 1}]}},
    ],
)
@in_loop
async def test_searches_that_differ_in_more_than_their_vector_stay_apart(other: dict[str, object]) -> None:
    gateway = Gateway()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    changed = asked(2)
    changed.MergeFrom(pb.QueryRequest(**other))  # type: ignore[arg-type]
    tasks = await begun(searches, [asked(1), changed, asked(3, dim=4)])
    gateway.gate.set()
    await asyncio.gather(*tasks)
    assert len(gateway.queries) == 3


@pytest.mark.parametrize("more", [{"offset": 5}, {"include": {"attributes": True}}])
@in_loop
async def test_what_a_batch_cannot_say_goes_by_itself(more: dict[str, object]) -> None:
    gateway = Gateway()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    tasks = await begun(searches, [asked(number, **more) for number in (1, 2, 3)])
    gateway.gate.set()
    await asyncio.gather(*tasks)
    assert gateway.queries == [asked(number, **more) for number in (1, 2, 3)]


@in_loop
async def test_one_at_fault_leaves_the_others_their_answers() -> None:
    gateway = Gateway()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    tasks = await begun(searches, [asked(number) for number in (1, 2, 13, 4)])
    gateway.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], InvalidVector)
    assert names([each for each in answers if isinstance(each, pb.QueryResponse)]) == ["image-1", "image-2", "image-4"]


@in_loop
async def test_what_is_asked_alone_in_the_end_is_asked_in_a_message_of_its_own() -> None:
    """gRPC packs a message when the call gets its turn: it must not have become another's meanwhile."""
    seen: list[pb.QueryRequest] = []

    async def query(request: pb.QueryRequest, timeout_s: float) -> pb.QueryResponse:
        seen.append(request)
        await asyncio.sleep(0)
        return pb.QueryResponse()

    async def refuse(request: pb.QueryBatchRequest, timeout_s: float) -> pb.QueryBatchResponse:
        raise InvalidVector("one of them", field="vector")

    searches = JoinedSearches(query, refuse)
    await asyncio.gather(*(searches.search(asked(number), 10.0) for number in (1, 2, 3)))
    assert seen == [asked(1), asked(2), asked(3)]


@in_loop
async def test_a_failed_call_fails_each_of_its_searches() -> None:
    gateway = Gateway()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    tasks = await begun(searches, [asked(number) for number in (1, 14, 3)])
    gateway.gate.set()
    first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, pb.QueryResponse)
    assert [type(each) for each in others] == [ShardUnavailable, ShardUnavailable]
    assert others[0] is not others[1]


@in_loop
async def test_whoever_waits_too_long_for_the_calls_before_is_told() -> None:
    gateway = Gateway()
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    (under_way,) = await begun(searches, [asked(1)])
    with pytest.raises(Unavailable, match="no answer within 0 s"):
        await searches.search(asked(2), 0.0)
    gateway.gate.set()
    await under_way
    assert len(gateway.queries) == 1


@in_loop
async def test_hits_of_regions_say_which() -> None:
    gateway = Gateway(ordinals=[4])
    searches = JoinedSearches(gateway.query, gateway.query_batch)
    tasks = await begun(searches, [asked(number) for number in (1, 2, 3)])
    gateway.gate.set()
    answers = await asyncio.gather(*tasks)
    assert [(hit.region.region_id, hit.region.ordinal) for hit in answers[2].hits] == [("image-3#4", 4)]
