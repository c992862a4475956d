"""Trainings over the fake store: they end at once."""

import hashlib

from pixvec.api.v1 import job_service_pb2
from pixvec.client.testing.store import DIM, Store, now
from pixvec.domain import FittedModel, Model, ModelKind, TrainingSpec
from pixvec.errors import FailedPrecondition, ModelExists
from pixvec.rpc.conversions import time_from_wire
from pixvec.rpc.models import fitted_kind_from_wire, training_to_wire


def train(store: Store, request: job_service_pb2.CreateTrainingRequest) -> job_service_pb2.Job:
    """Do a training, all at once."""
    collection = store.collection(request.collection)
    if not collection.images:
        raise FailedPrecondition(f"collection {request.collection!r} is empty: ingest pictures first")
    kind = fitted_kind_from_wire(request.kind)
    base = "" if kind.is_codebook else request.model or collection.message.spaces[0].model
    spec = TrainingSpec(request.name, kind, request.size or DIM, request.sample_size or 100, base)
    keep(store, spec, request.SerializeToString(), request.collection)
    job = store.create_job(request.collection)
    job.message.kind = job_service_pb2.JOB_KIND_TRAINING
    job.message.training.CopyFrom(training_to_wire(spec))
    job.message.total = job.message.decoded = min(spec.sample_size, len(collection.images))
    store.end(job)
    return job.message


def keep(store: Store, spec: TrainingSpec, content: bytes, collection: str) -> Model:
    """Note a fitted file under its name. Raises ModelExists."""
    if spec.name in store.models:
        raise ModelExists(f"there is a fitted model {spec.name!r} already", field="name")
    content_hash = hashlib.sha256(content).hexdigest()
    fitted = FittedModel(
        spec.name,
        spec.kind,
        spec.base_model,
        DIM,
        content_hash,
        content_hash,
        len(content),
        collection,
        time_from_wire(now()),
    )
    source = f"fitted on {collection}" if collection else "registered"
    made = Model(spec.model, ModelKind.FITTED, DIM, "Fitted", size_bytes=len(content), source=source, fitted=fitted)
    store.models[spec.name] = made
    return made
