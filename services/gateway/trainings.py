"""Trainings as the gateway's callers ask for them. What cannot succeed is refused at once."""

from dataclasses import dataclass

from pixvec.catalogue.interfaces import Catalogue
from pixvec.domain import Collection, FittedKind, Job, TrainingSpec
from pixvec.errors import FailedPrecondition, InvalidRequest
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient
from services.gateway.directory import Directory
from services.gateway.models import check_base_model
from services.gateway.publisher import ChunkPublisher

_WORDS, _COMPONENTS = 64, 128
_PICTURES_FOR_WORDS, _PICTURES_FOR_COMPONENTS = 1_000, 10_000
# 512 words are vectors of 65,536 numbers.
_MOST_VLAD_WORDS = 512


@dataclass(frozen=True, slots=True)
class TrainingWish:
    """What a caller asks for. 0 and nothing stand for defaults."""

    collection: str
    name: str
    kind: FittedKind
    model: str = ""
    size: int = 0
    sample_size: int = 0
    idempotency_key: str = ""


class Trainings:
    """Creates trainings."""

    def __init__(
        self,
        directory: Directory,
        catalogue: Catalogue,
        embedder: EmbedderClient,
        publisher: ChunkPublisher,
        sql: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._embedder = embedder
        self._publisher = publisher
        self._sql = sql

    async def create(self, wish: TrainingWish, timeout_s: float) -> Job:
        """Create a training and ask for a worker. Raises CollectionNotFound, ModelExists, ModelNotFound,
        InvalidRequest, and FailedPrecondition for a collection that has too few pictures."""
        collection = await self._directory.collection(wish.collection)
        spec = await self._spec(wish, collection, timeout_s)
        images = await self._sql.run(self._catalogue.collections.count_images, collection.collection_id)
        _check_images(spec, wish.collection, images)
        job = await self._sql.run(self._create, collection.collection_id, spec, wish.idempotency_key)
        await self._publisher.publish_training(job.job_id)
        return job

    def _create(self, collection_id: int, spec: TrainingSpec, idempotency_key: str) -> Job:
        return self._catalogue.trainings.create(collection_id, spec, idempotency_key=idempotency_key)

    async def _spec(self, wish: TrainingWish, collection: Collection, timeout_s: float) -> TrainingSpec:
        if wish.kind.is_codebook:
            check_base_model(wish.kind, wish.model)
            size = wish.size or _WORDS
            _check_words(wish.kind, size)
            return TrainingSpec(wish.name, wish.kind, size, wish.sample_size or _PICTURES_FOR_WORDS)
        model, dim = await self._base(wish, collection, timeout_s)
        size = wish.size or min(_COMPONENTS, dim)
        if size > dim:
            raise InvalidRequest(f"vectors of {model} have {dim} numbers, not {size}: keep fewer", field="size")
        return TrainingSpec(wish.name, wish.kind, size, wish.sample_size or _PICTURES_FOR_COMPONENTS, model)

    async def _base(self, wish: TrainingWish, collection: Collection, timeout_s: float) -> tuple[str, int]:
        """Return the model whose vectors a PCA is fitted on, and their dimension."""
        spaces = [space for space in collection.spaces if space.regions is None]
        model = wish.model or spaces[0].model
        check_base_model(wish.kind, model)
        for space in spaces:
            if space.model == model:
                return model, space.dim
        resolved = await self._embedder.resolve_model(model, timeout_s)
        return resolved.model, resolved.dim


def _check_words(kind: FittedKind, words: int) -> None:
    if words < 2:
        raise InvalidRequest("a codebook has 2 words at least", field="size")
    if kind is FittedKind.SIFT_VLAD and words > _MOST_VLAD_WORDS:
        raise InvalidRequest(
            f"VLAD of {words} words makes vectors of {128 * words:,} numbers: ask for {_MOST_VLAD_WORDS} words at most",
            field="size",
        )


def _check_images(spec: TrainingSpec, collection: str, images: int) -> None:
    if not images:
        raise FailedPrecondition(f"collection {collection!r} is empty: ingest pictures first")
    if not spec.kind.is_codebook and min(images, spec.sample_size) <= spec.size:
        raise FailedPrecondition(
            f"{min(images, spec.sample_size)} pictures of {collection!r} are too few for {spec.size} components:"
            " ingest more, ask for a larger sample, or keep fewer components"
        )
