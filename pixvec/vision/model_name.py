"""A model as text: which network, and what is done with its vectors.

    BASE[+POOLING][+flip][+crops][+pca:FILE[:DIM] | +pcaw:FILE[:DIM]]

BASE is a registered name (`resnet50`) or one in a family (`timm:NAME`, `checkpoint:ARCHITECTURE/LABEL`,
`open_clip:NAME/TAG`, `sift-vlad:FILE`). POOLING is `avg`, `cls`, or `gem[:POWER]`; without it the model's own. `flip`
and `crops` average over mirrored and cropped copies of the picture; `pca` projects, `pcaw` also whitens, with a fitted
file. Steps may come in any order; `str` of what was parsed gives the one canonical text.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from pixvec.errors import InvalidRequest


class Pooling(StrEnum):
    """How a network's feature map or tokens become one vector."""

    AVERAGE = "avg"
    CLS = "cls"
    GEM = "gem"


@dataclass(frozen=True, slots=True)
class PoolingChoice:
    """A pooling that was asked for. `power`: GeM's exponent; None: the one in the weights, or 3."""

    kind: Pooling
    power: float | None = None

    def __str__(self) -> str:
        return self.kind if self.power is None else f"{self.kind}:{self.power:g}"


@dataclass(frozen=True, slots=True)
class Projection:
    """A fitted PCA to apply: its file's name, and how many dimensions to keep (None: all of the file's)."""

    file: str
    dim: int | None = None
    whiten: bool = False

    def __str__(self) -> str:
        return f"pca{'w' if self.whiten else ''}:{self.file}" + ("" if self.dim is None else f":{self.dim}")


@dataclass(frozen=True, slots=True)
class ModelName:
    """The parts of a model's text."""

    base: str
    pooling: PoolingChoice | None = None
    flip: bool = False
    crops: bool = False
    projection: Projection | None = None

    def __str__(self) -> str:
        steps = [
            self.pooling and str(self.pooling),
            self.flip and "flip",
            self.crops and "crops",
            self.projection and str(self.projection),
        ]
        return "+".join([self.base, *(step for step in steps if step)])

    @property
    def family(self) -> tuple[str, str]:
        """The base's family and the name within it; the family is empty for a registered name."""
        family, colon, rest = self.base.partition(":")
        return (family, rest) if colon else ("", self.base)


def parse(text: str) -> ModelName:
    """Return the parts. Raises InvalidRequest naming the step that cannot be understood, or comes twice."""
    base, *steps = text.split("+")
    if not base:
        raise _refusal(text, "it names no network")
    parts: dict[str, PoolingChoice | Projection | bool] = {}
    for step in steps:
        part, value = _step(text, step)
        if part in parts:
            raise _refusal(text, f"{step!r} comes after another step of its kind")
        parts[part] = value
    return ModelName(base, **parts)  # type: ignore[arg-type]  # each step's value is of its own part


def has_fitted(text: str) -> bool:
    """Return whether a part of the model was fitted, so that another file may have its name one day. Raises
    InvalidRequest as `parse` does."""
    name = parse(text)
    return name.projection is not None or name.family[0] in ("sift-bow", "sift-vlad")


def _step(text: str, step: str) -> tuple[str, PoolingChoice | Projection | bool]:
    kind, _, rest = step.partition(":")
    if kind in ("flip", "crops") and not rest:
        return kind, True
    if kind in (Pooling.AVERAGE, Pooling.CLS) and not rest:
        return "pooling", PoolingChoice(Pooling(kind))
    if kind == Pooling.GEM:
        return "pooling", PoolingChoice(Pooling.GEM, _power(text, rest) if rest else None)
    if kind in ("pca", "pcaw") and rest:
        return "projection", _projection(text, rest, whiten=kind == "pcaw")
    raise _refusal(text, f"{step!r} is none of avg, cls, gem[:POWER], flip, crops, pca:FILE[:DIM], pcaw:FILE[:DIM]")


def _power(text: str, rest: str) -> float:
    try:
        power = float(rest)
    except ValueError:
        power = math.nan
    if not 0 < power <= 100:
        raise _refusal(text, f"GeM's power is a number above 0, to 100, not {rest!r}")
    return power


def _projection(text: str, rest: str, *, whiten: bool) -> Projection:
    file, colon, dim = rest.rpartition(":")
    if not (colon and dim.isdecimal()):
        return Projection(rest, None, whiten)
    if not file or int(dim) < 1:
        raise _refusal(text, f"a projection is FILE or FILE:DIM with at least one dimension, not {rest!r}")
    return Projection(file, int(dim), whiten)


def _refusal(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"model {text!r}: {why}", field="model")
