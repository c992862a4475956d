"""A model host that is told to stop turns new callers away, and answers those it has."""

import threading
from concurrent.futures import Future
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pixvec.errors import Overloaded
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.errors import from_rpc_error
from pixvec.vision.weights import WeightSource
from workers import server_thread
from workers.batcher import Batcher
from workers.embedder import EmbedderService
from workers.model_host import ModelHost
from workers.server_thread import SERVICES, ServerThread

LIMIT_S = 30.0
STATUS = health_pb2.HealthCheckResponse


class SlowDecoder:
    """Renders a thumbnail when it is told to."""

    def __init__(self):
        self.asked, self.thumbnail_made = threading.Event(), Future()

    def thumbnail(self, content, max_side):
        self.asked.set()
        return self.thumbnail_made


def service(decoder):
    return EmbedderService(ModelHost(WeightSource({}, False, 1.0)), decoder, Batcher(1))


def test_calls_under_way_end_and_new_ones_are_turned_away(tmp_path: Path) -> None:
    listen, decoder = f"unix:{tmp_path}/embedder.sock", SlowDecoder()
    server = ServerThread(listen, service(decoder), grace_s=LIMIT_S)
    server.start()
    with grpc.insecure_channel(listen) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICES[0])
        health = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=LIMIT_S)
        assert next(health).status == STATUS.SERVING
        stub = embedder_service_pb2_grpc.EmbedderServiceStub(channel)
        picture = pb.RenderThumbnailRequest(image=b"a picture", max_side=256)
        rendering = stub.RenderThumbnail.future(picture, timeout=LIMIT_S)
        assert decoder.asked.wait(LIMIT_S)
        server.stop()
        assert next(health).status == STATUS.NOT_SERVING
        decoder.thumbnail_made.set_result(b"a thumbnail")
        assert rendering.result(LIMIT_S).jpeg == b"a thumbnail"
        health.cancel()
        server.join()
        with pytest.raises(grpc.RpcError):
            stub.RenderThumbnail(picture, timeout=LIMIT_S)
    server.stop()


def test_more_calls_than_it_can_hold_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_thread, "MAX_CONCURRENT_CALLS", 1)
    listen, decoder = f"unix:{tmp_path}/embedder.sock", SlowDecoder()
    server = ServerThread(listen, service(decoder), grace_s=LIMIT_S)
    server.start()
    with grpc.insecure_channel(listen) as channel:
        stub = embedder_service_pb2_grpc.EmbedderServiceStub(channel)
        picture = pb.RenderThumbnailRequest(image=b"a picture", max_side=256)
        rendering = stub.RenderThumbnail.future(picture, timeout=LIMIT_S)
        assert decoder.asked.wait(LIMIT_S)
        with pytest.raises(grpc.RpcError) as caught:
            stub.RenderThumbnail(picture, timeout=LIMIT_S)
        assert isinstance(from_rpc_error(caught.value), Overloaded)
        decoder.thumbnail_made.set_result(b"a thumbnail")
        assert rendering.result(LIMIT_S).jpeg == b"a thumbnail"
    server.stop()
    server.join()


def test_an_address_in_use_is_told_to_the_caller(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/embedder.sock"
    first, second = (ServerThread(listen, service(SlowDecoder()), grace_s=0.0) for _ in range(2))
    first.start()
    with pytest.raises(OSError, match="in use"):
        second.start()
    first.stop()
    first.join()
    second.join()
