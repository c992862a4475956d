"""Pictures a second from `client.ingest` to searchable, over the bare loop decode + model in one process.

The bare loop and the system take turns, so that a noisy machine disturbs both alike; each ratio is the median of pairs.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.pictures import load_pictures
from benchmarks.report import Report, arguments
from benchmarks.system import running_system
from benchmarks.weights import random_weights
from pixvec.client import Client
from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.extractor import Extractor
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource

GOALS = {"mobilenet_v3_small": 0.8, "resnet50": 0.9}
LIMITS = DecodeLimits(max_bytes=32 * 2**20, max_pixels=40_000_000)


def bare_loop(extractor: Extractor, pictures: Sequence[bytes], batch: int = 32) -> float:
    """Decode and embed all pictures in this process; return pictures a second."""
    start = time.perf_counter()
    for first in range(0, len(pictures), batch):
        decoded = [decode(content, extractor.preprocess, LIMITS).pixels for content in pictures[first : first + batch]]
        extractor.embed(np.stack(decoded))
    return len(pictures) / (time.perf_counter() - start)


def system_ingest(client: Client, collection: str, pictures: Sequence[bytes], prefix: str) -> float:
    """Ingest all pictures under new ids until the last one can be found; return pictures a second."""
    items = [(f"{prefix}/{number}", content) for number, content in enumerate(pictures)]
    start = time.perf_counter()
    job = client.ingest(collection, items)
    job.wait()
    hits = client.search(collection, image_id=items[-1][0], limit=1)
    seconds = time.perf_counter() - start
    if job.failures or not len(hits):
        raise SystemExit(f"The run is void: {len(job.failures)} items failed.")
    return len(pictures) / seconds


def measure(model: str, file: Path, pictures: Sequence[bytes], rounds: int, report: Report) -> None:
    """Add one model's ratio and figures to the report."""
    extractor = load(model, WeightSource(files={model: file}, download=False, download_limit_s=0))
    pairs = []
    with running_system(weights={model: file}) as system, Client(system.address) as client:
        client.create_collection("bench", model=model)
        system_ingest(client, "bench", pictures[:64], "warm-up")
        bare_loop(extractor, pictures[:32])
        for number in range(rounds):
            bare = bare_loop(extractor, pictures)
            pairs.append((system_ingest(client, "bench", pictures, f"round-{number}"), bare))
    ratio = statistics.median(system / bare for system, bare in pairs)
    report.ratio(f"ingest over bare loop, {model}", ratio, at_least=GOALS[model])
    report.figure(f"ingest, pictures/s, {model}", statistics.median(system for system, _ in pairs))
    report.figure(f"bare loop, pictures/s, {model}", statistics.median(bare for _, bare in pairs))


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="JPEG files to measure with (default: made ones)")
    parser.add_argument("--models", nargs="+", choices=GOALS, default=list(GOALS))
    options = parser.parse_args()
    report = Report("ingest")
    counts = {"mobilenet_v3_small": 512 if options.quick else 2048, "resnet50": 128 if options.quick else 384}
    pictures = load_pictures(options.pictures, max(counts[model] for model in options.models))
    with TemporaryDirectory() as folder:
        for model in options.models:
            file = random_weights(model, Path(folder))
            measure(model, file, pictures[: counts[model]], 2 if options.quick else 5, report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
