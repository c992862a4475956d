"""Fits what a training asks for, on a sample of its collection, and writes it to a file."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pixvec.catalogue.trainings import LeasedTraining, SampledImage, TrainingStore
from pixvec.domain import Space
from pixvec.errors import FailedPrecondition
from pixvec.rpc.records import decode_record
from pixvec.vision.codebook import save_codebook
from pixvec.vision.extractor import Extractor, Vectors
from pixvec.vision.pca import fit_pca, save_pca
from pixvec.vision.preprocess import Pixels
from workers.batcher import Batcher
from workers.model_host import ModelHost
from workers.sampling import Sampler

# Of a PCA: what is read from the feed, or embedded, at once.
_BATCH = 64

# Is told how many pictures of the sample have come since, and how many have not: whoever keeps count. May raise.
Tell = Callable[[int, int], None]


class Fitting:
    """The work of a training, apart from whose it is and what becomes of it."""

    def __init__(self, trainings: TrainingStore, sampler: Sampler, host: ModelHost, batcher: Batcher) -> None:
        self._trainings = trainings
        self._sampler = sampler
        self._host = host
        self._batcher = batcher

    def fit(self, training: LeasedTraining, sample: Sequence[SampledImage], folder: Path, tell: Tell) -> Path:
        """Return the fitted file, in `folder`. Raises FailedPrecondition for too few pictures or too little in them,
        InvalidRequest for a size that cannot be, and what `tell` and the model of a PCA raise."""
        spec = training.spec
        if not sample:
            raise FailedPrecondition(f"collection {training.collection.name!r} is empty: ingest pictures first")
        if spec.kind.is_codebook:
            # Here: it imports OpenCV.
            from pixvec.vision.sift import fit_sift_codebook

            return save_codebook(fit_sift_codebook(self._pictures(sample, tell), spec.size), folder, spec.name)
        return save_pca(fit_pca(self._vectors(training, sample, tell), spec.size), folder, spec.name)

    def _pictures(self, sample: Sequence[SampledImage], tell: Tell) -> Iterator[Pixels]:
        from pixvec.vision.sift import PREPROCESS

        for picture in self._sampler.pictures(sample, PREPROCESS):
            tell(int(picture is not None), int(picture is None))
            if picture is not None:
                yield picture.pixels

    def _vectors(self, training: LeasedTraining, sample: Sequence[SampledImage], tell: Tell) -> Iterator[Vectors]:
        """Yield the vectors of the sample: as they are stored where a space of the collection has them."""
        space = stored_in(training)
        for first in range(0, len(sample), _BATCH):
            images = sample[first : first + _BATCH]
            stored = self._stored(training, space, images) if space is not None else {}
            missing = [each for each in images if each.image_id not in stored]
            tell(len(stored), 0)
            if stored:
                yield np.concatenate(list(stored.values()))
            if missing:
                yield self._embedded(training.spec.base_model, missing, space, tell)

    def _stored(self, training: LeasedTraining, space: Space, images: Sequence[SampledImage]) -> dict[str, Vectors]:
        records = self._trainings.records(training.collection.collection_id, [each.image_id for each in images])
        decoded = {name: decode_record(record, with_attributes=False) for name, record in records.items()}
        digest = bytes.fromhex(space.digest)
        return {
            name: each.vectors[space.name] for name, each in decoded.items() if each.digests.get(space.name) == digest
        }

    def _embedded(self, model: str, images: Sequence[SampledImage], space: Space | None, tell: Tell) -> Vectors:
        extractor: Extractor = self._host.get(model, space.digest if space is not None else "")
        pictures = self._sampler.pictures(images, extractor.preprocess)
        pixels = [picture.pixels for picture in pictures if picture is not None]
        tell(len(pixels), len(images) - len(pixels))
        if not pixels:
            return np.zeros((0, extractor.dim), np.float32)
        return self._batcher.submit(extractor, np.stack(pixels)).result().vectors


def stored_in(training: LeasedTraining) -> Space | None:
    """Return the space of whole pictures that holds vectors of a PCA's model, if there is one."""
    spaces = (each for each in training.collection.spaces if each.regions is None)
    return next((each for each in spaces if each.model == training.spec.base_model), None)
