"""How well pictures fit a query in each of several spaces, as far as it is known."""

from collections.abc import Iterable, Mapping, Sequence

from pixvec.domain import Hit, SpaceKind
from services.gateway.fusion_plan import FusedPlan
from services.gateway.query import Deadline
from services.gateway.resolver import QueryVectors
from services.gateway.scatter import Scatter, StoredScoresQuery
from services.gateway.together import all_of

# Keeps a call within a message: an id has up to 512 bytes.
_IDS_A_CALL = 20_000


class FusedScores:
    """Begins with what searches found; what they did not is scored by its stored vectors where it is needed."""

    def __init__(self, scatter: Scatter, plans: Sequence[FusedPlan], vectors: Mapping[str, QueryVectors]) -> None:
        self._scatter = scatter
        self._plans = plans
        self._vectors = vectors
        self._known: dict[str, dict[str, float]] = {each.name: {} for each in plans}
        self._ordinals: dict[str, int] = {}
        self._missing: set[int] = set()
        self._regions = next((each.name for each in plans if each.plan.space.kind is SpaceKind.REGION), "")

    @property
    def by_space(self) -> Mapping[str, Mapping[str, float]]:
        """The scores that are known: of each space by image id."""
        return self._known

    @property
    def missing(self) -> frozenset[int]:
        """The shards that did not say how well their images fit when they were asked."""
        return frozenset(self._missing)

    @property
    def of_regions(self) -> bool:
        """Whether one of the spaces is that of regions."""
        return bool(self._regions)

    def of(self, image_id: str) -> dict[str, float]:
        """Return the scores of an image that are known, by space."""
        return {space: own[image_id] for space, own in self._known.items() if image_id in own}

    def ordinal(self, image_id: str) -> int:
        """Return which region of an image its score in their space is of."""
        return self._ordinals.get(image_id, 0)

    def take(self, space: str, hits: Iterable[Hit]) -> None:
        """Take in what a search of a space found."""
        for hit in hits:
            self._note(space, hit.image_id, hit.score, hit.ordinal)

    async def complete(self, image_ids: Sequence[str], plans: Sequence[FusedPlan], deadline: Deadline) -> None:
        """Score those images that have a vector in the spaces of `plans`, where that is not known yet."""
        await all_of(self._complete(image_ids, each, deadline) for each in plans)

    async def _complete(self, image_ids: Sequence[str], fused: FusedPlan, deadline: Deadline) -> None:
        known, plan, vector = self._known[fused.name], fused.plan, self._vectors[fused.name]
        missing = [image_id for image_id in image_ids if image_id not in known]
        for begin in range(0, len(missing), _IDS_A_CALL):
            some = tuple(missing[begin : begin + _IDS_A_CALL])
            wanted = StoredScoresQuery(plan.collection, fused.name, some, plan.wait_for, vector.data, 1, vector.digest)
            scored = await self._scatter.scores(wanted, deadline, complete=plan.complete)
            self._missing |= scored.missing
            for image_id, rows in scored.found.items():
                self._note(fused.name, image_id, rows.scores[0], rows.ordinals[0])

    def _note(self, space: str, image_id: str, score: float, ordinal: int) -> None:
        self._known[space][image_id] = score
        if space == self._regions:
            self._ordinals[image_id] = ordinal
