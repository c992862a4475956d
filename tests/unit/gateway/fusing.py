"""Short ways to ask for several spaces at once."""

from pixvec.fusion import FusedSpace, Fusion, FusionMethod
from services.gateway.query import Deadline, Query


def fuse(weights, method=FusionMethod.RRF, rrf_k=60, **least):
    spaces = (FusedSpace(space, weight, least.get(space)) for space, weight in weights.items())
    return Fusion(tuple(spaces), method, rrf_k)


async def ask(side, **query):
    return await side.queries.run(Query("photos", **query), Deadline(10))
