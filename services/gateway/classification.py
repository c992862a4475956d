"""Says of which labels pictures are, by the model of a space that takes texts."""

import time
from collections.abc import Sequence

from pixvec.domain import ItemError
from pixvec.errors import PixvecError
from pixvec.rpc.embedder_client import Classified, EmbedderClient, LabelTexts
from services.gateway.directory import Directory
from services.gateway.planner import Plan, plan_classification
from services.gateway.query import Classification, ClassifyQuery, Deadline, Timings
from services.gateway.resolver import IMAGES_A_CALL, QueryResolver
from services.gateway.scatter import Scatter
from services.gateway.stage_times import StageTimes


class Classifications:
    """Pictures that are sent go to the embedder as they are; of those of the collection, the vectors they have."""

    def __init__(self, directory: Directory, scatter: Scatter, embedder: EmbedderClient) -> None:
        self._directory = directory
        self._embedder = embedder
        self._resolver = QueryResolver(embedder, scatter)
        self._stages = StageTimes("Classify")

    async def run(self, query: ClassifyQuery, deadline: Deadline) -> Classification:
        """Return the answer. Raises as `Queries.run` does, with the index of the picture at fault."""
        begun = time.perf_counter()
        timings = Timings()
        plan = plan_classification(query, await self._directory.collection(query.collection))
        classified = await self._classified(query, plan, deadline, timings)
        results = [_probabilities(index, each) for index, each in enumerate(_results(classified))]
        timings.total = time.perf_counter() - begun
        self._stages.observe(timings, embedded=True)
        return Classification(results, classified[0].exclusive, plan.space.name, timings)

    async def _classified(
        self, query: ClassifyQuery, plan: Plan, deadline: Deadline, timings: Timings
    ) -> list[Classified]:
        classes = LabelTexts(query.labels, query.templates)
        model, digest = plan.space.model, plan.space.digest
        classified = []
        if query.image_ids:
            vectors = await self._resolver.stored(query.image_ids, plan, deadline, "picture")
            classified.append(await self._embedder.classify_vectors(model, digest, classes, vectors, deadline.left_s))
        for begin in range(0, len(query.images), IMAGES_A_CALL):
            some = query.images[begin : begin + IMAGES_A_CALL]
            classified.append(await self._embedder.classify_images(model, digest, classes, some, deadline.left_s))
        for each in classified:
            timings.queue += each.queue_s
            timings.decode += each.decode_s
            timings.inference += each.inference_s
        return classified


def _results(classified: Sequence[Classified]) -> list[tuple[float, ...] | ItemError]:
    return [result for each in classified for result in each.results]


def _probabilities(index: int, result: tuple[float, ...] | ItemError) -> tuple[float, ...]:
    if isinstance(result, ItemError):
        message = f"picture {index}: {result.message}"
        raise PixvecError.by_reason(result.reason)(message, field=f"images.contents[{index}]")
    return result
