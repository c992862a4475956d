"""A two-tower network of open_clip as an extractor of pictures and of texts, in one space. Imports torch.

A. Radford et al., Learning transferable visual models from natural language supervision, ICML 2021.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from pixvec.vision.extractor import Vectors
from pixvec.vision.preprocess import Pixels, Preprocess
from pixvec.vision.torch_backbone import Normalisation, TorchBackbone

_TEXTS_AT_ONCE = 256

Tokenizer = Callable[[list[str]], torch.Tensor]


class ClipTowers:
    """A TextExtractor over open_clip's CLIP, or a network that has its methods."""

    def __init__(
        self,
        name: str,
        digest: str,
        preprocess: Preprocess,
        network: Any,
        tokenizer: Tokenizer,
        normalisation: Normalisation,
    ) -> None:
        self.name, self.digest, self.preprocess = name, digest, preprocess
        # Before the network is made to run in half precision.
        self.logit_scale = float(network.logit_scale.detach().exp())
        bias = getattr(network, "logit_bias", None)
        self.logit_bias = None if bias is None else float(bias.detach())
        self._network = network.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._pictures = TorchBackbone(name, digest, preprocess, _PictureTower(network), normalisation)
        self._device = next(network.parameters()).device
        self.dim = self._pictures.dim

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, dim) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels."""
        return self._pictures.embed(pixels)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (n, dim) float32, L2-normalised, in the space of the pictures' vectors. What is longer than the
        network's context is cut off."""
        parts = [self._run(texts[first : first + _TEXTS_AT_ONCE]) for first in range(0, len(texts), _TEXTS_AT_ONCE)]
        return np.concatenate([np.zeros((0, self.dim), np.float32), *parts])

    @torch.inference_mode()
    def _run(self, texts: Sequence[str]) -> Vectors:
        features = self._network.encode_text(self._tokenizer(list(texts)).to(self._device))
        vectors: Vectors = torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy()
        return vectors


class _PictureTower(torch.nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network.encode_image(pictures)
        return features
