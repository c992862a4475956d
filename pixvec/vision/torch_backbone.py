"""A network as an extractor: normalise, run, L2-normalise. Imports torch."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from pixvec.vision.extractor import Vectors
from pixvec.vision.preprocess import Pixels, Preprocess

# Threads that take more than this share of one thread's time cost others more than they gain.
_WORTH_IT = 0.75


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Of RGB in 0 to 1: what is taken off each channel, and what it is then divided by."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# As all of torchvision's published transforms have it.
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class TorchBackbone:
    """An Extractor over a network from (n, 3, crop, crop) to (n, dim); it runs on a GPU if there is one."""

    def __init__(
        self,
        name: str,
        digest: str,
        preprocess: Preprocess,
        network: torch.nn.Module,
        normalisation: Normalisation = IMAGENET,
    ) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.name = name
        self.digest = digest
        self.preprocess = preprocess
        self._device = device
        self._dtype = fastest_dtype(device)
        self._network = network.to(device, self._dtype).to(memory_format=torch.channels_last)
        self._mean = 255 * torch.tensor(normalisation.mean, device=device).view(3, 1, 1)
        self._scale = 1 / (255 * torch.tensor(normalisation.std, device=device).view(3, 1, 1))
        # Also the first run, which is slow: better here than in a query.
        one = np.zeros((1, preprocess.crop, preprocess.crop, 3), dtype=np.uint8)
        self.dim = self._run(one).shape[1]
        self._threads_for_one = _threads_worth_it(lambda: self._run(one)) if device.type == "cpu" else None

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, dim) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels."""
        if not len(pixels):
            return np.zeros((0, self.dim), dtype=np.float32)
        if len(pixels) == 1 and self._threads_for_one is not None:
            with _torch_threads(self._threads_for_one):
                return self._run(pixels)
        return self._run(pixels)

    @torch.inference_mode()
    def _run(self, pixels: Pixels) -> Vectors:
        # The pixels' own order is channels-last already: the permutation copies nothing.
        batch = (
            torch.from_numpy(np.require(pixels, requirements=("C", "W"))).to(self._device).permute(0, 3, 1, 2).float()
        )
        # In place: fresh memory for each step would take three times as long as the steps themselves.
        features = self._network(batch.sub_(self._mean).mul_(self._scale).to(self._dtype))
        vectors: Vectors = torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy()
        return vectors


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return half precision where it is in hardware, else single.

    Measured on CPUs with AVX512_BF16: at 32 pictures a batch it takes half the time of float32 for ResNet-50, two
    thirds for MobileNetV3-Small; vectors agree to a cosine of 0.999.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else torch.float32


def _threads_worth_it(run: Callable[[], object], tries: int = 7) -> int:
    """Return how many threads should run one picture: all that PyTorch has if that is clearly faster, else one.

    A small network has too little work a layer to share: its threads spend their time waking each other, and the more
    so the busier the machine is. A query by picture through MobileNetV3-Small took 5 ms with one, 12 with two.
    """
    every = torch.get_num_threads()
    alone_s, together_s = (_median_seconds(run, threads, tries) for threads in (1, every))
    return every if together_s < _WORTH_IT * alone_s else 1


def _median_seconds(run: Callable[[], object], threads: int, tries: int) -> float:
    with _torch_threads(threads):
        run()
        return statistics.median(_seconds(run) for _ in range(tries))


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Run with so many threads in here; PyTorch keeps the number for each calling thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
