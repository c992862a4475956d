"""Networks on a GPU in half precision, compiled and not: pictures a second and memory at every size of batch.

Of each network the bare loop, the same compiled, and the product's own take turns over the same pixels. Memory is that
of a pass, without the weights.
"""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torchvision

from benchmarks.bare_models import Bare, BareNetwork, subject
from benchmarks.report import Report
from benchmarks.weights import random_detector
from pixvec.domain import RegionSettings
from pixvec.vision.detectors import load_detector
from pixvec.vision.extractor import Vectors
from pixvec.vision.preprocess import Pixels
from pixvec.vision.weights import WeightSource

NETWORKS = ("resnet50", "vit_b_16")
DETECTOR = "fasterrcnn_resnet50_fpn"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SIDE, _DETECTED_SIDE = 224, 640
# Of one pass of a detector: what is larger is several passes.
_MOST_DETECTED = 32


class BareDetector:
    """(n, h, w, 3) uint8 pixels to (n, 1), the numbers of objects found, in half precision where the library has it."""

    def __init__(self, device: torch.device, *, compiled: bool = False) -> None:
        torch.manual_seed(0)
        self._device = device
        network = torchvision.models.get_model(DETECTOR, weights=None, weights_backbone=None)
        self._network = network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        if compiled:
            # Not what comes after it: its shapes hang on what is found.
            self._network.backbone = torch.compile(self._network.backbone, dynamic=False)

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Vectors:
        """Return how many objects each picture shows."""
        counts: list[int] = []
        for first in range(0, len(pixels), _MOST_DETECTED):
            batch = torch.from_numpy(pixels[first : first + _MOST_DETECTED]).to(self._device).permute(0, 3, 1, 2)
            with torch.autocast(self._device.type, torch.bfloat16):
                found = self._network(list(batch.float() / 255))
            counts += [len(each["boxes"].cpu()) for each in found]
        return np.array(counts, np.float32)[:, np.newaxis]


def measure_gpu(report: Report, *, quick: bool) -> None:
    """Add everything, or why there is nothing."""
    if not torch.cuda.is_available():
        report.figure("GPU", "skipped: torch sees no CUDA device")
        return
    report.figure("GPU", torch.cuda.get_device_name())
    for batch in BATCHES[::3] if quick else BATCHES:
        for name in NETWORKS:
            _measure(f"{name}, {batch}", _network(name), _pixels(batch, _SIDE), report, quick=quick)
        _measure(f"{DETECTOR}, {batch}", _detector(), _pixels(batch, _DETECTED_SIDE), report, quick=quick)


def _network(name: str) -> Mapping[str, Bare]:
    with TemporaryDirectory() as folder:
        measured, other = subject(name, Path(folder)), subject(name, Path(folder))
    assert isinstance(other.bare, BareNetwork)
    other.bare.compile()
    return {"bare": measured.bare, "compiled": other.bare, "extractor": measured.extractor.embed}


def _detector() -> Mapping[str, Bare]:
    device = torch.device("cuda")
    with TemporaryDirectory() as folder:
        source = WeightSource({DETECTOR: random_detector(DETECTOR, Path(folder))}, download=False)
        detector = load_detector(DETECTOR, source)

    def detect(pixels: Pixels) -> Vectors:
        found = detector.detect(list(pixels), RegionSettings(DETECTOR))
        return np.array([[len(each)] for each in found], np.float32)

    return {"bare": BareDetector(device), "compiled": BareDetector(device, compiled=True), "detector": detect}


def _measure(name: str, runs: Mapping[str, Bare], pixels: Pixels, report: Report, *, quick: bool) -> None:
    for kind, run in runs.items():
        report.figure(f"{name}: {kind}, MiB", _peak_bytes(run, pixels) / 2**20)
    rates: dict[str, list[float]] = {kind: [] for kind in runs}
    for _ in range(3 if quick else 15):
        for kind, run in runs.items():
            rates[kind].append(_rate(run, pixels))
    for kind, found in rates.items():
        report.figure(f"{name}: {kind}, pictures/s", statistics.median(found))
        pairs = zip(found, rates["bare"], strict=True)
        if kind != "bare":
            report.ratio(f"{name}: {kind} over bare", statistics.median(rate / bare for rate, bare in pairs))
    # Each size of batch is compiled anew, and only a few are kept.
    torch.compiler.reset()


def _peak_bytes(run: Bare, pixels: Pixels) -> int:
    """Return the most memory that one run takes beyond the weights; the first run compiles what is compiled."""
    run(pixels)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(pixels)
    return torch.cuda.max_memory_allocated() - before


def _rate(run: Bare, pixels: Pixels) -> float:
    begun = time.perf_counter()
    run(pixels)
    # Its vectors are here: nothing is left to be waited for.
    return len(pixels) / (time.perf_counter() - begun)


def _pixels(count: int, side: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)
