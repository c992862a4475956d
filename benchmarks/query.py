"""What the system adds to a search by picture, and how many searches by vector it answers."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.ingest import LIMITS
from benchmarks.pictures import load_pictures
from benchmarks.report import Report, arguments
from benchmarks.system import running_system
from benchmarks.weights import random_weights
from pixvec.client import AsyncClient, Client
from pixvec.vision.decode import decode
from pixvec.vision.extractor import Extractor
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource

MODEL = "mobilenet_v3_small"
CALLERS = 16


def bare_seconds(extractor: Extractor, content: bytes) -> float:
    """Decode and embed one picture in this process."""
    start = time.perf_counter()
    extractor.embed(decode(content, extractor.preprocess, LIMITS).pixels[None])
    return time.perf_counter() - start


def query_seconds(client: Client, content: bytes) -> float:
    """Search by one picture."""
    start = time.perf_counter()
    client.search("bench", image=content, limit=10)
    return time.perf_counter() - start


async def vector_queries(address: str, dim: int, seconds: float) -> tuple[float, list[float]]:
    """Search by vector with 16 callers for some seconds; return searches a second and each one's latency."""
    vectors = np.random.default_rng(0).standard_normal((256, dim)).astype(np.float32)
    packed = [vector.tobytes() for vector in vectors]
    latencies: list[float] = []
    async with AsyncClient(address) as client:
        await client.search("bench", vector=packed[0], limit=10)
        start = time.perf_counter()

        async def caller(number: int) -> None:
            while (begun := time.perf_counter()) < start + seconds:
                number = (number + 1) % len(packed)
                await client.search("bench", vector=packed[number], limit=10)
                latencies.append(time.perf_counter() - begun)

        await asyncio.gather(*(caller(number * 16) for number in range(CALLERS)))
        elapsed = time.perf_counter() - start
    return len(latencies) / elapsed, latencies


def measure_pictures(client: Client, extractor: Extractor, pictures: Sequence[bytes], report: Report) -> None:
    """Search by picture and run the bare model in turn, one picture at a time."""
    pairs = [(query_seconds(client, content), bare_seconds(extractor, content)) for content in pictures]
    search_p50 = statistics.median(search for search, _ in pairs) * 1e3
    bare_p50 = statistics.median(bare for _, bare in pairs) * 1e3
    report.ratio("search by picture over bare decode + model", search_p50 / bare_p50)
    report.figure("search by picture, p50, ms", search_p50)
    report.figure("bare decode + model, p50, ms", bare_p50)
    report.figure("added by the system, p50, ms", search_p50 - bare_p50, at_most=8)


def measure_vectors(address: str, dim: int, seconds: float, report: Report) -> None:
    """Search by vector with many callers."""
    rate, latencies = asyncio.run(vector_queries(address, dim, seconds))
    p50, p99 = np.percentile(np.array(latencies) * 1e3, [50, 99])
    report.figure(f"searches by vector/s, {CALLERS} callers", rate, at_least=800)
    report.figure("search by vector, p50, ms", float(p50))
    report.figure("search by vector, p99, ms", float(p99))
    report.ratio("search by vector, p99 over p50", float(p99 / p50))


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="JPEG files to measure with (default: made ones)")
    options = parser.parse_args()
    report = Report("query")
    pictures = load_pictures(options.pictures, 64 if options.quick else 300)
    with TemporaryDirectory() as folder:
        file = random_weights(MODEL, Path(folder))
        extractor = load(MODEL, WeightSource(files={MODEL: file}, download=False, download_limit_s=0))
        with running_system(weights={MODEL: file}) as system, Client(system.address) as client:
            client.create_collection("bench", model=MODEL)
            client.ingest("bench", [(f"{number}", content) for number, content in enumerate(pictures)]).wait()
            measure_pictures(client, extractor, pictures[:8], Report("warm-up"))
            measure_pictures(client, extractor, pictures, report)
            measure_vectors(system.address, extractor.dim, 3 if options.quick else 10, report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
