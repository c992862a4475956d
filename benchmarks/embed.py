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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

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
    """How long to measure: up to so many rounds, while `most_s` is not yet spent on them, each of so many seconds of
    the bare loop or of callers."""

    rounds: int
    most_s: float
    loop_s: float
    callers_s: float

    def turns(self) -> Iterator[int]:
        """Return the numbers of the rounds, one at least."""
        begun = time.perf_counter()
        for number in range(self.rounds):
            if number and time.perf_counter() - begun > self.most_s:
                return
            yield number


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


@dataclass(frozen=True, slots=True)
class Spent:
    """What something took: seconds by the clock, and of all threads on the processor."""

    seconds: float
    cpu_s: float


def spent(work: Callable[[], object]) -> Spent:
    """Return what the work takes."""
    begun, cpu_begun = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - begun, time.process_time() - cpu_begun)


def bare_loop(bare: Bare, batch: Pixels, times: int) -> None:
    """Run so many batches one after the other."""
    for _ in range(times):
        bare(batch)


def through_batcher(batcher: Batcher, extractor: Extractor, batch: Pixels, times: int) -> None:
    """Queue so many batches at once, and wait for all their vectors."""
    for future in [batcher.submit(extractor, batch) for _ in range(times)]:
        future.result()


def forward_seconds(subject: Subject, batch: Pixels, seconds: float) -> float:
    """Return the median seconds of one forward pass: the bare one, or the extractor's where that is faster."""
    passes: dict[Bare, list[float]] = {subject.bare: [], subject.extractor.embed: []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not all(passes.values()):
        for run, taken in passes.items():
            taken.append(spent(partial(run, batch)).seconds)
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
    """Add pictures a second, and the batcher's over the bare loop's: by the clock, and by the processor's time, which
    tells more where others take turns on it."""
    through = partial(through_batcher, batcher, measured.extractor, batch)
    bare_loop(measured.bare, batch, 1)
    times = max(1, round(effort.loop_s / spent(partial(through, 1)).seconds))
    loop = partial(bare_loop, measured.bare, batch, times)
    pairs = [(spent(loop), spent(partial(through, times))) for _ in effort.turns()]
    ratio = statistics.median(bare.seconds / ours.seconds for bare, ours in pairs)
    report.ratio(f"{name}: batcher over bare", ratio, at_least=0.95)
    ratio = statistics.median(bare.cpu_s / ours.cpu_s for bare, ours in pairs)
    report.ratio(f"{name}: batcher over bare, processor's time", ratio)
    pictures = times * len(batch)
    report.figure(f"{name}: pictures/s", pictures / statistics.median(ours.seconds for _, ours in pairs))
    report.figure(f"{name}: bare, pictures/s", pictures / statistics.median(bare.seconds for bare, _ in pairs))


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
        for _ in effort.turns()
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
    if torch.cuda.is_available():
        # Networks run there whenever there is one.
        report.figure("GPU", torch.cuda.get_device_name())
    effort = Effort(3, 2.0, 0.4, 0.3) if options.quick else Effort(7, 60.0, 2.0, 2.0)
    contents = load_pictures(options.pictures, BATCH)
    for name in options.models or ((*QUICK, *HANDCRAFTED) if options.quick else NAMES):
        with TemporaryDirectory() as folder:
            measured = subject(name, Path(folder))
        measure(name, measured, prepared(measured.extractor, contents), effort, report)
    measure_service(contents, effort.rounds, effort.callers_s, report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
