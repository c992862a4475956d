"""Pictures through the worker's EmbedderService over loopback: decoding in processes, the batcher and gRPC included."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.load import drive
from benchmarks.report import Report
from benchmarks.weights import random_weights
from pixvec.embedded.ports import free_port
from pixvec.rpc.embedder_client import GrpcEmbedder
from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.extractor import Extractor
from pixvec.vision.weights import WeightSource
from workers.batcher import Batcher
from workers.decode_pool import DecodePool
from workers.embedder import EmbedderService
from workers.model_host import ModelHost
from workers.server_thread import ServerThread

MODEL = "mobilenet_v3_small"
CALLERS = (1, 16)
_LIMIT_S = 60.0
_ALLOWED_S = 3e-3


@contextmanager
def serving(host: ModelHost) -> Iterator[str]:
    """Return the address of a service for as long as the `with` lasts, wired as a worker wires it."""
    decoder, batcher = DecodePool(len(os.sched_getaffinity(0)), DecodeLimits()), Batcher(32)
    decoder.start()
    batcher.start()
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    server = ServerThread(address, EmbedderService(host, decoder, batcher), grace_s=1.0)
    server.start()
    try:
        yield address
    finally:
        server.stop()
        server.join()
        batcher.close()
        decoder.close()


def measure_service(contents: Sequence[bytes], rounds: int, seconds: float, report: Report) -> None:
    """Add what callers of the service wait for: the time of a bare forward pass of as many pictures as there are
    callers, 3 ms, and what decoding takes besides."""
    with TemporaryDirectory() as folder:
        host = ModelHost(WeightSource({MODEL: random_weights(MODEL, Path(folder))}, download=False))
        extractor = host.get(MODEL)
    with serving(host) as address:
        for callers in CALLERS:
            pairs = [_round(address, extractor, contents, callers, seconds) for _ in range(rounds)]
            name = f"service, {MODEL}: p50 of {callers}"
            bare_s, p50_s = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratio = statistics.median(p50 / (bare + _ALLOWED_S) for bare, p50 in pairs)
            report.ratio(f"{name} over bare decode + pass of {callers} + 3 ms", ratio, at_most=1)
            report.figure(f"{name}, ms", 1e3 * p50_s)
            report.figure(f"{name}: bare decode + pass, ms", 1e3 * bare_s)


def _round(
    address: str, extractor: Extractor, contents: Sequence[bytes], callers: int, seconds: float
) -> tuple[float, float]:
    """Return the seconds of decoding and embedding in one go, and the callers' median latency."""
    taken: list[float] = []
    end = time.perf_counter() + seconds / 4
    while time.perf_counter() < end or not taken:
        begun = time.perf_counter()
        decoded = [decode(each, extractor.preprocess, DecodeLimits()).pixels for each in contents[:callers]]
        extractor.embed(np.stack(decoded))
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken), asyncio.run(_callers_p50_s(address, extractor, contents, callers, seconds))


async def _callers_p50_s(
    address: str, extractor: Extractor, contents: Sequence[bytes], callers: int, seconds: float
) -> float:
    client = GrpcEmbedder(address)

    async def ask(number: int) -> None:
        await client.embed_images(MODEL, extractor.digest, [contents[number % len(contents)]], _LIMIT_S)

    try:
        return (await drive(ask, callers, seconds)).percentile(50)
    finally:
        await client.close()
