"""Servers over a real connection: errors with details, rules, health, addresses, shutdown."""

import asyncio
import functools
import os
import signal
from tempfile import TemporaryDirectory

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from pixvec.api.v1 import (
    image_service_pb2,
    image_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    search_service_pb2_grpc,
)
from pixvec.api.v1 import search_service_pb2 as search_pb
from pixvec.errors import CollectionNotFound, InvalidRequest, Overloaded
from pixvec.rpc.addresses import socket_path
from pixvec.rpc.errors import from_rpc_error
from pixvec.rpc.server import build_server, run_until_signalled
from tests.contract.rpc_server import served
from tests.in_loop import in_loop


class Search(search_service_pb2_grpc.SearchServiceServicer):
    def __init__(self, answer):
        self.answer = answer
        self.begun = asyncio.Event()

    async def Query(self, request, context):
        self.begun.set()
        return await self.answer(request)


def searching(answer):
    return functools.partial(search_service_pb2_grpc.add_SearchServiceServicer_to_server, Search(answer))


async def raising(error, request=None):
    raise error


async def empty(request):
    return search_pb.QueryResponse(space="image")


QUERY = search_pb.QueryRequest(collection="photos", image_id="a")
METHOD = "pixvec.api.v1.SearchService/Query"


async def failure_of(handle, request=QUERY):
    async with grpc.aio.insecure_channel(handle.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await search_service_pb2_grpc.SearchServiceStub(channel).Query(request)
    return caught.value


@in_loop
async def test_a_domain_error_arrives_with_its_details():
    error = Overloaded("too much at once", retry_after_s=1.5)
    async with served(searching(functools.partial(raising, error))) as handle:
        failed = await failure_of(handle)
    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(failed)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain) == ("OVERLOADED", "pixvec")
    assert retry.retry_delay.ToMilliseconds() == 1500
    back = from_rpc_error(failed)
    assert (type(back), back.retry_after_s) == (Overloaded, 1.5)


@in_loop
async def test_more_calls_than_a_server_holds_are_refused_at_once():
    entered, may_go = asyncio.Event(), asyncio.Event()

    async def hold(request):
        entered.set()
        await may_go.wait()
        return await empty(request)

    async with (
        served(searching(hold), max_concurrent_calls=1) as handle,
        grpc.aio.insecure_channel(handle.address) as channel,
    ):
        held = search_service_pb2_grpc.SearchServiceStub(channel).Query(QUERY)
        await entered.wait()
        assert type(from_rpc_error(await failure_of(handle))) is Overloaded
        may_go.set()
        assert (await held).space == "image"


def test_no_server_is_without_a_bound(monkeypatch):
    told = {}
    monkeypatch.setattr(grpc.aio, "server", lambda **options: told.update(options))
    with pytest.raises(AttributeError):
        build_server("127.0.0.1:0")
    assert told["maximum_concurrent_rpcs"] > 0


@in_loop
async def test_an_unexpected_error_says_nothing_of_the_inside(caplog):
    async with served(searching(functools.partial(raising, KeyError("secret")))) as handle:
        failed = await failure_of(handle)
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in failed.details()


@pytest.mark.parametrize("limit", [0, 10**9])
@in_loop
async def test_a_broken_rule_is_answered_before_the_handler_runs(limit):
    async with served(searching(functools.partial(raising, AssertionError()))) as handle:
        failed = await failure_of(handle, search_pb.QueryRequest(collection="photos", image_id="a", limit=limit))
    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in rpc_status.from_call(failed).details)
    assert [violation.field for violation in bad_request.field_violations][:1] == ["limit"]
    assert type(from_rpc_error(failed)) is InvalidRequest


@pytest.mark.parametrize("letter", ["x", "界", "%"])
@in_loop
async def test_very_long_errors_arrive_too(letter):
    error = CollectionNotFound(letter * 50_000, field=letter * 5_000, retry_after_s=1.0)
    async with served(searching(functools.partial(raising, error))) as handle:
        back = from_rpc_error(await failure_of(handle))
    assert (type(back), back.retry_after_s) == (CollectionNotFound, 1.0)
    assert back.message.startswith(letter * 150)


@in_loop
async def test_calls_are_counted_by_outcome():
    def count(code):
        return REGISTRY.get_sample_value("pixvec_rpc_seconds_count", {"method": METHOD, "code": code}) or 0

    before = count("OK"), count("NOT_FOUND")

    async def answer(request):
        if request.image_id == "b":
            raise CollectionNotFound("no")
        return search_pb.QueryResponse()

    async with served(searching(answer)) as handle:
        await failure_of(handle, search_pb.QueryRequest(collection="photos", image_id="b"))
        async with grpc.aio.insecure_channel(handle.address) as channel:
            await search_service_pb2_grpc.SearchServiceStub(channel).Query(QUERY)
    assert (count("OK"), count("NOT_FOUND")) == (before[0] + 1, before[1] + 1)
    assert REGISTRY.get_sample_value("pixvec_rpc_in_flight", {"method": METHOD}) == 0


class Streams(job_service_pb2_grpc.JobServiceServicer, image_service_pb2_grpc.ImageServiceServicer):
    def __init__(self):
        self.ended = asyncio.Event()

    async def WatchJob(self, request, context):
        try:
            yield job_service_pb2.WatchJobResponse()
            if request.job_id.startswith("0"):
                raise CollectionNotFound("gone meanwhile")
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def Ingest(self, requests, context):
        async for _ in requests:
            yield image_service_pb2.IngestResponse()

    def add(self, server):
        job_service_pb2_grpc.add_JobServiceServicer_to_server(self, server)
        image_service_pb2_grpc.add_ImageServiceServicer_to_server(self, server)

    def not_served(self, request, context):
        raise NotImplementedError

    CreateIngest = GetJob = ListJobs = ListFailures = GetImage = DeleteImages = GetContent = not_served


@in_loop
async def test_an_error_in_a_stream_follows_what_was_sent():
    streams = Streams()
    async with served(streams.add) as handle, grpc.aio.insecure_channel(handle.address) as channel:
        call = job_service_pb2_grpc.JobServiceStub(channel).WatchJob(
            job_service_pb2.WatchJobRequest(job_id="00000000-0000-4000-8000-000000000000")
        )
        assert await call.read() is not grpc.aio.EOF
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert type(from_rpc_error(caught.value)) is CollectionNotFound


@in_loop
async def test_a_caller_that_goes_away_ends_the_handler():
    streams = Streams()
    async with served(streams.add) as handle, grpc.aio.insecure_channel(handle.address) as channel:
        call = job_service_pb2_grpc.JobServiceStub(channel).WatchJob(
            job_service_pb2.WatchJobRequest(job_id="10000000-0000-4000-8000-000000000000")
        )
        await call.read()
        call.cancel()
        async with asyncio.timeout(10):
            await streams.ended.wait()


@pytest.mark.parametrize("method", ["SearchService/Query", "ImageService/Ingest"])
@in_loop
async def test_a_message_that_cannot_be_read_is_refused_as_the_callers_fault(method, caplog):
    def add(server):
        searching(empty)(server)
        Streams().add(server)

    self_checking = frozenset({"/pixvec.api.v1.ImageService/Ingest"})
    async with served(add, self_checking=self_checking) as handle, grpc.aio.insecure_channel(handle.address) as channel:
        if method.endswith("Ingest"):
            sent = anext(aiter(channel.stream_stream(f"/pixvec.api.v1.{method}")(iter([b"\xff\xff"]))))
        else:
            sent = channel.unary_unary(f"/pixvec.api.v1.{method}")(b"\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sent
    error = from_rpc_error(caught.value)
    assert type(error) is InvalidRequest
    assert "the message is damaged" in error.message
    assert not caplog.records


@pytest.mark.parametrize("self_checking", [True, False])
@in_loop
async def test_each_message_of_a_stream_is_checked_unless_the_method_does_so(self_checking):
    names = frozenset({"/pixvec.api.v1.ImageService/Ingest"}) if self_checking else frozenset()
    async with (
        served(Streams().add, self_checking=names) as handle,
        grpc.aio.insecure_channel(handle.address) as channel,
    ):
        call = image_service_pb2_grpc.ImageServiceStub(channel).Ingest(iter([image_service_pb2.IngestRequest()]))
        if self_checking:
            assert await call.read() is not grpc.aio.EOF
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@in_loop
async def test_health_tells_of_the_whole_and_of_each_service():
    async with served(searching(empty)) as handle, grpc.aio.insecure_channel(handle.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "test.Service"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(service="unknown"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@in_loop
async def test_an_address_in_use_is_a_clear_error():
    first = build_server("127.0.0.1:0")
    await first.start()
    assert first.address == f"127.0.0.1:{first.port}"
    second = build_server(first.address)
    with pytest.raises(OSError, match="in use by another process"):
        await second.start()
    await first.stop(0)


@in_loop
async def test_a_socket_file_is_taken_over_and_removed_at_the_end():
    with TemporaryDirectory(prefix="pv-") as folder:
        async with served(searching(empty), folder) as handle:
            other = build_server(handle.listen)
            with pytest.raises(OSError, match="in use by another process"):
                await other.start()
            async with grpc.aio.insecure_channel(handle.address) as channel:
                assert (await search_service_pb2_grpc.SearchServiceStub(channel).Query(QUERY)).space == "image"
        assert not socket_path(handle.address).exists()


@in_loop
async def test_a_signal_lets_calls_under_way_finish():
    finish = asyncio.Event()
    stopping = asyncio.Event()

    async def answer(request):
        await finish.wait()
        return search_pb.QueryResponse(space="slow")

    with TemporaryDirectory(prefix="pv-") as folder:
        handle = build_server(f"unix:{folder}/s.sock")
        servicer = Search(answer)
        search_service_pb2_grpc.add_SearchServiceServicer_to_server(servicer, handle.server)
        await handle.start()
        running = asyncio.create_task(run_until_signalled(handle, grace_s=30, before_stop=stopping.set))
        async with grpc.aio.insecure_channel(handle.address) as channel:
            call = search_service_pb2_grpc.SearchServiceStub(channel).Query(QUERY)
            await servicer.begun.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await stopping.wait()
            finish.set()
            assert (await call).space == "slow"
            await running


@in_loop
async def test_a_second_signal_does_not_wait():
    with TemporaryDirectory(prefix="pv-") as folder:
        handle = build_server(f"unix:{folder}/s.sock")
        streams = Streams()
        streams.add(handle.server)
        await handle.start()
        stopping = asyncio.Event()
        running = asyncio.create_task(run_until_signalled(handle, grace_s=3600, before_stop=stopping.set))
        async with grpc.aio.insecure_channel(handle.address) as channel:
            call = job_service_pb2_grpc.JobServiceStub(channel).WatchJob(
                job_service_pb2.WatchJobRequest(job_id="10000000-0000-4000-8000-000000000000")
            )
            await call.read()
            os.kill(os.getpid(), signal.SIGTERM)
            await stopping.wait()
            os.kill(os.getpid(), signal.SIGINT)
            async with asyncio.timeout(30):
                await running
