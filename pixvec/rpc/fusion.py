"""Several spaces to search at once, between values and the wire. Needs protobuf only."""

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.fusion import DEFAULT_RRF_K, FusedSpace, Fusion, FusionMethod

_METHODS: dict[FusionMethod, pb.FusionMethod] = {
    FusionMethod.RRF: pb.FUSION_METHOD_RRF,
    FusionMethod.WEIGHTED: pb.FUSION_METHOD_WEIGHTED,
}
_FROM_METHOD = {wire: method for method, wire in _METHODS.items()}


def fusion_to_wire(fusion: Fusion) -> pb.Fusion:
    """Return what is to be fused, as it travels."""
    spaces = [pb.Fusion.Space(space=each.space, weight=each.weight, min_score=each.min_score) for each in fusion.spaces]
    return pb.Fusion(spaces=spaces, method=_METHODS[fusion.method], rrf_k=fusion.rrf_k)


def fusion_from_wire(message: pb.Fusion) -> Fusion:
    """Return what is to be fused; what is left out is the default."""
    return Fusion(
        tuple(map(_space, message.spaces)),
        _FROM_METHOD.get(message.method, FusionMethod.RRF),
        message.rrf_k if message.HasField("rrf_k") else DEFAULT_RRF_K,
    )


def _space(message: pb.Fusion.Space) -> FusedSpace:
    return FusedSpace(
        message.space,
        message.weight if message.HasField("weight") else 1.0,
        message.min_score if message.HasField("min_score") else None,
    )
