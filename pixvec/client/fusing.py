"""Several spaces to search at once, as they are asked for."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pixvec.api.v1 import search_service_pb2
from pixvec.client.arguments import choice, not_negative, number, text
from pixvec.errors import InvalidRequest
from pixvec.fusion import FusedSpace, Fusion, FusionMethod
from pixvec.rpc.fusion import fusion_to_wire

# Weights by the names of spaces, or spaces that weigh alike unless they say otherwise.
FuseLike: TypeAlias = Mapping[str, float] | Iterable[str | FusedSpace]


def to_fusion(fuse: FuseLike, method: FusionMethod | str, rrf_k: int) -> search_service_pb2.Fusion:
    """Return what is to be fused, as it travels. Raises InvalidRequest."""
    fusion = Fusion(tuple(_spaces(fuse)), choice("fuse_method", FusionMethod, method), not_negative("rrf_k", rrf_k))
    return fusion_to_wire(fusion)


def _spaces(fuse: FuseLike) -> Iterator[FusedSpace]:
    if isinstance(fuse, str | FusedSpace):
        raise InvalidRequest(f"fuse takes several spaces, not {fuse!r}: put the one in a list", field="fuse")
    if isinstance(fuse, Mapping):
        yield from (FusedSpace(text("fuse", name), number("fuse", weight)) for name, weight in fuse.items())
        return
    for each in _listed(fuse):
        yield _checked(each) if isinstance(each, FusedSpace) else FusedSpace(text("fuse", each))


def _listed(fuse: Iterable[str | FusedSpace]) -> list[str | FusedSpace]:
    try:
        return list(fuse)
    except TypeError:
        raise InvalidRequest(
            f"fuse must be weights by the names of spaces, as {{'image': 1, 'colours': 0.5}}, or names, not {fuse!r}",
            field="fuse",
        ) from None


def _checked(space: FusedSpace) -> FusedSpace:
    least = space.min_score
    return FusedSpace(
        text("fuse", space.space),
        number("fuse", space.weight),
        least if least is None else number("fuse", least),
    )
