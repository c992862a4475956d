"""From a feature map or tokens to one vector. Imports torch.

GeM: F. Radenović, G. Tolias and O. Chum, Fine-tuning CNN image retrieval with no human annotation, PAMI 2018.
"""

from collections.abc import Mapping

import torch

from pixvec.errors import InvalidRequest, WeightsUnavailable
from pixvec.vision.model_name import Pooling, PoolingChoice

_GEM_POWER = 3.0
_EPSILON = 1e-6
# Where training code keeps a learned exponent.
_LEARNED = ("pool.p", "pooling.p", "gem.p", "avgpool.p", "global_pool.p", "head.global_pool.p")


class Pool(torch.nn.Module):
    """(n, dim, h, w) maps, or (n, tokens, dim) of which `prefix` are no patches, to (n, dim) float32."""

    def __init__(self, kind: Pooling, *, prefix: int = 0, power: float = _GEM_POWER) -> None:
        super().__init__()
        self.kind, self.prefix, self.power = kind, prefix, power

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the pooled vectors."""
        if self.kind is Pooling.CLS:
            return features[:, 0].float()
        patches = features.flatten(2).mT if features.ndim == 4 else features[:, self.prefix :]
        if self.kind is Pooling.AVERAGE:
            return patches.float().mean(1)
        return patches.float().clamp(min=_EPSILON).pow(self.power).mean(1).pow(1 / self.power)

    @property
    def text(self) -> str:
        """What a digest says of it."""
        named = {Pooling.AVERAGE: "global average pool", Pooling.CLS: "CLS token"}
        return named.get(self.kind, f"GeM {self.power:.6g}")


def choose_pool(
    name: str, choice: PoolingChoice | None, default: Pooling, *, prefix: int = 0, learned: float | None = None
) -> Pool:
    """Return the pool that is asked for, or the model's own: GeM where its weights have a learned exponent.

    Raises InvalidRequest for the CLS token of a model without one, and GeM of one without a feature map.
    """
    if choice is None:
        choice = PoolingChoice(default if learned is None else Pooling.GEM)
    if choice.kind is Pooling.CLS and not prefix:
        raise InvalidRequest(f"{name} has no CLS token: choose avg or gem", field="model")
    if choice.kind is Pooling.GEM and prefix:
        raise InvalidRequest(
            f"{name} has no feature map of values above zero for GeM: choose avg or cls", field="model"
        )
    return Pool(choice.kind, prefix=prefix, power=choice.power or learned or _GEM_POWER)


def learned_power(state: Mapping[str, torch.Tensor]) -> float | None:
    """Return the exponent that was learned with these weights, or None. Raises WeightsUnavailable for a wrong one."""
    for name, value in state.items():
        if is_learned_power(name) and value.numel() == 1:
            power = float(value)
            if not 0 < power <= 100:
                raise WeightsUnavailable(f"the GeM exponent {name} is {power:g}, not above 0 and at most 100")
            return power
    return None


def is_learned_power(name: str) -> bool:
    """Whether training code calls GeM's exponent so."""
    return any(name == key or name.endswith(f".{key}") for key in _LEARNED)
