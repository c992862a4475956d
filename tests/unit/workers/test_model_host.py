"""A model that takes its time to load holds up those who wait for it and nobody else."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pixvec.errors import DigestMismatch, WeightsUnavailable
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.vision.preprocess import Preprocess
from pixvec.vision.weights import WeightSource
from tests.in_loop import in_loop
from tests.unit.workers.ingesting import picture
from workers.batcher import Batcher
from workers.decode_pool import InlineDecoder
from workers.embedder import EmbedderService
from workers.model_host import ModelHost

LIMIT_S = 30.0


class Model:
    dim, digest, preprocess = 3, "ab" * 32, Preprocess(8, 8)

    def __init__(self, name):
        self.name = name

    def embed(self, pixels):
        return np.ones((len(pixels), self.dim), np.float32)


class Loading:
    """In the place of `load`: a model whose name begins with `slow` takes until `may_go`; `trouble` is raised."""

    def __init__(self):
        self.entered, self.may_go = threading.Event(), threading.Event()
        self.loaded = []
        self.trouble = None

    def __call__(self, name, weights):
        if self.trouble:
            raise self.trouble
        if name.startswith("slow"):
            self.entered.set()
            assert self.may_go.wait(LIMIT_S)
        self.loaded.append(name)
        return Model(name)


@pytest.fixture
def loading(monkeypatch):
    loading = Loading()
    monkeypatch.setattr("workers.model_host.load", loading)
    yield loading
    loading.may_go.set()


@pytest.fixture
def host():
    return ModelHost(WeightSource({}, False, 1.0))


@pytest.fixture
def service(host):
    batcher = Batcher(1)
    batcher.start()
    yield EmbedderService(host, InlineDecoder(), batcher)
    batcher.close()


def test_a_model_is_loaded_once_for_all_who_ask(host, loading):
    with ThreadPoolExecutor(8) as callers:
        asked = [callers.submit(host.get, "slow") for _ in range(8)]
        assert loading.entered.wait(LIMIT_S)
        assert host.find("slow") is None
        loading.may_go.set()
        assert {model.result(LIMIT_S) for model in asked} == {host.find("slow")}
    assert host.get("slow") is host.find("slow") is host.begin("slow").result(0)
    assert loading.loaded == ["slow"]


def test_a_model_waits_for_no_other(host, loading):
    slow = host.begin("slow")
    assert loading.entered.wait(LIMIT_S)
    assert host.begin("quick").result(LIMIT_S).name == "quick"
    assert not slow.done()


def test_a_model_that_could_not_be_loaded_is_tried_again(host, loading):
    loading.trouble = WeightsUnavailable("no file")
    for _ in range(2):
        with pytest.raises(WeightsUnavailable):
            host.get("quick")
    loading.trouble = None
    assert host.get("quick").name == "quick"


def test_another_model_than_is_meant_is_refused(host, loading):
    assert host.get("quick", Model.digest).name == "quick"
    with pytest.raises(DigestMismatch, match="quick"):
        host.get("quick", "cd" * 32)


def query(model):
    return pb.EmbedImagesRequest(model=model, digest=bytes.fromhex(Model.digest), images=[picture(1)])


@in_loop
async def test_queries_of_a_loaded_model_do_not_wait_for_those_of_one_that_loads(service, host, loading):
    host.get("quick")
    waiting = [asyncio.ensure_future(service.EmbedImages(query("slow"), None)) for _ in range(200)]
    await asyncio.sleep(0)
    for model in ("quick", "quick too"):
        answer = await asyncio.wait_for(service.EmbedImages(query(model), None), LIMIT_S)
        assert len(answer.embeddings) == 1
    assert not any(each.done() for each in waiting)
    loading.may_go.set()
    answers = await asyncio.gather(*waiting)
    assert [len(answer.embeddings) for answer in answers] == [1] * 200


@in_loop
async def test_a_caller_that_goes_away_takes_no_model_with_it(service, loading):
    leaving, staying = (asyncio.ensure_future(service.EmbedImages(query("slow"), None)) for _ in range(2))
    await asyncio.to_thread(loading.entered.wait, LIMIT_S)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    loading.may_go.set()
    assert len((await staying).embeddings) == 1
