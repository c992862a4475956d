"""Every extractor through the worker's batcher over its bare loop on the same pixels: a queue of batches, and callers
that wait for one picture each.

Both take turns within each round, so that a noisy machine disturbs both alike; each ratio is the median of the rounds.
Callers go to the batcher with priority, as the EmbedderService does; one model is also measured through that service,
over loopback, with the decoding of a JPEG. With `--device cuda`: see `benchmarks.embed_gpu`.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.bare_models import CLIP, HANDCRAFTED, NAMES, Bare, Subject, subject
from benchmarks.embed_gpu import measure_gpu
from benchmarks.embed_service import measure_service
from benchmarks.load import drive
from benchmarks.pictures import load_pictures
from benchmarks.report import Report, arguments
from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.extractor import Extractor
from pixvec.vision.preprocess import Pixels
from workers.batcher import Batcher

# As a worker takes them by default.
BATCH = 32
CALLERS = (1, 16)
ALLOWED_S = 3e-3
QUICK = ("mobilenet_v3_small", "resnet18", "resnet50", "vit_b_16", "resnet18+flip", "timm:resnet10t", CLIP)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds of so many seconds of the bare loop, and of so many of callers."""

    rounds: int
    loop_s: float
    callers_s: float


@contextmanager
def started_batcher() -> Iterator[Batcher]:
    """Return the worker's batcher for as long as the `with` lasts."""
    batcher = Batcher(BATCH)
    batcher.start()
    try:
        yield batcher
    finally:
        batcher.close()


def prepared(extractor: Extractor, contents: Sequence[bytes]) -> Pixels:
    """Return one batch of pixels as the extractor takes them."""
    return np.stack([decode(content, extractor.preprocess, DecodeLimits()).pixels for content in contents])


def bare_seconds(bare: Bare, batch: Pixels, times: int) -> float:
    """Return the seconds that so many batches take in a loop."""
    begun = time.perf_counter()
    for _ in range(times):
        bare(batch)
    return time.perf_counter() - begun


def batcher_seconds(batcher: Batcher, extractor: Extractor, batch: Pixels, times: int) -> float:
    """Return the seconds until so many batches, queued at once, have their vectors."""
    begun = time.perf_counter()
    for future in [batcher.submit(extractor, batch) for _ in range(times)]:
        future.result()
    return time.perf_counter() - begun


def forward_seconds(subject: Subject, batch: Pixels, seconds: float) -> float:
    """Return the median seconds of one forward pass: the bare one, or the extractor's where that is faster."""
    passes: dict[Bare, list[float]] = {subject.bare: [], subject.extractor.embed: []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not all(passes.values()):
        for run, taken in passes.items():
            taken.append(bare_seconds(run, batch, 1))
    return min(map(statistics.median, passes.values()))


def callers_p50_s(batcher: Batcher, extractor: Extractor, batch: Pixels, callers: int, seconds: float) -> float:
    """Return the median latency of callers that ask for one picture each, again as soon as they are answered."""
    singles = [batch[row : row + 1] for row in range(len(batch))]

    async def ask(number: int) -> None:
        single = singles[number % len(singles)]
        await asyncio.wrap_future(batcher.submit(extractor, single, priority=True))

    return asyncio.run(drive(ask, callers, seconds)).percentile(50)


def measure(name: str, measured: Subject, batch: Pixels, effort: Effort, report: Report) -> None:
    """Add one extractor's ratios and figures to the report."""
    with started_batcher() as batcher:
        measure_bulk(name, measured, batch, effort, batcher, report)
        for callers in CALLERS:
            measure_callers(name, measured, batch, callers, effort, batcher, report)


def measure_bulk(name: str, measured: Subject, batch: Pixels, effort: Effort, batcher: Batcher, report: Report) -> None:
    """Add pictures a second, and the batcher's over the bare loop's."""
    bare_seconds(measured.bare, batch, 1)
    once = batcher_seconds(batcher, measured.extractor, batch, 1)
    times = max(1, round(effort.loop_s / once))
    pairs = [
        (bare_seconds(measured.bare, batch, times), batcher_seconds(batcher, measured.extractor, batch, times))
        for _ in range(effort.rounds)
    ]
    report.ratio(f"{name}: batcher over bare", statistics.median(bare / ours for bare, ours in pairs), at_least=0.95)
    pictures = times * len(batch)
    report.figure(f"{name}: pictures/s", pictures / statistics.median(ours for _, ours in pairs))
    report.figure(f"{name}: bare, pictures/s", pictures / statistics.median(bare for bare, _ in pairs))


def measure_callers(
    name: str, measured: Subject, batch: Pixels, callers: int, effort: Effort, batcher: Batcher, report: Report
) -> None:
    """Add the callers' median latency over one bare forward pass, of as many pictures as there are callers, and 3 ms:
    what one pass takes that answers all of them."""
    few = np.ascontiguousarray(batch[:callers])
    pairs = [
        (
            forward_seconds(measured, few, effort.callers_s / 4),
            callers_p50_s(batcher, measured.extractor, batch, callers, effort.callers_s),
        )
        for _ in range(effort.rounds)
    ]
    ratio = statistics.median(p50 / (forward + ALLOWED_S) for forward, p50 in pairs)
    report.ratio(f"{name}: p50 of {callers} over a pass of {callers} + 3 ms", ratio, at_most=1)
    report.figure(f"{name}: p50 of {callers}, ms", 1e3 * statistics.median(p50 for _, p50 in pairs))


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="JPEG files to measure with (default: made ones)")
    parser.add_argument("--models", nargs="+", choices=NAMES, help="(default: all; with --quick, those that are small)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where networks run")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
    options = parse()
    report = Report("embed")
    if options.device == "cuda":
        measure_gpu(report, quick=options.quick)
        report.finish(options.json)
        return
    effort = Effort(3, 0.5, 0.4) if options.quick else Effort(7, 2.0, 2.0)
    contents = load_pictures(options.pictures, BATCH)
    for name in options.models or ((*QUICK, *HANDCRAFTED) if options.quick else NAMES):
        with TemporaryDirectory() as folder:
            measured = subject(name, Path(folder))
        measure(name, measured, prepared(measured.extractor, contents), effort, report)
    measure_service(contents, effort.rounds, effort.callers_s, report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
