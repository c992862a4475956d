"""Models and trainings between the domain and the wire. Needs protobuf only."""

from pixvec.api.v1 import job_service_pb2, model_service_pb2
from pixvec.domain import FittedKind, FittedModel, JobKind, Model, ModelKind, TrainingSpec
from pixvec.internal.v1 import embedder_service_pb2
from pixvec.rpc.conversions import time_from_wire, time_to_wire

_KINDS: dict[ModelKind, model_service_pb2.ModelKind] = {
    ModelKind.NETWORK: model_service_pb2.MODEL_KIND_NETWORK,
    ModelKind.CROSS_MODAL: model_service_pb2.MODEL_KIND_CROSS_MODAL,
    ModelKind.HANDCRAFTED: model_service_pb2.MODEL_KIND_HANDCRAFTED,
    ModelKind.DETECTOR: model_service_pb2.MODEL_KIND_DETECTOR,
    ModelKind.FITTED: model_service_pb2.MODEL_KIND_FITTED,
}
_FITTED_KINDS: dict[FittedKind, model_service_pb2.FittedKind] = {
    FittedKind.SIFT_BOW: model_service_pb2.FITTED_KIND_SIFT_BOW,
    FittedKind.SIFT_VLAD: model_service_pb2.FITTED_KIND_SIFT_VLAD,
    FittedKind.PCA: model_service_pb2.FITTED_KIND_PCA,
    FittedKind.PCA_WHITENED: model_service_pb2.FITTED_KIND_PCA_WHITENED,
}
_JOB_KINDS: dict[JobKind, job_service_pb2.JobKind] = {
    JobKind.INGEST: job_service_pb2.JOB_KIND_INGEST,
    JobKind.TRAINING: job_service_pb2.JOB_KIND_TRAINING,
}
_FROM_KIND = {wire: kind for kind, wire in _KINDS.items()}
_FROM_FITTED_KIND = {wire: kind for kind, wire in _FITTED_KINDS.items()}
_FROM_JOB_KIND = {wire: kind for kind, wire in _JOB_KINDS.items()}


def model_kind_to_wire(kind: ModelKind) -> model_service_pb2.ModelKind:
    """Return the wire's name of a kind of model."""
    return _KINDS[kind]


def model_kind_from_wire(kind: model_service_pb2.ModelKind) -> ModelKind:
    """Return the kind of model; unspecified is a network."""
    return _FROM_KIND.get(kind, ModelKind.NETWORK)


def fitted_kind_to_wire(kind: FittedKind) -> model_service_pb2.FittedKind:
    """Return the wire's name of what is fitted."""
    return _FITTED_KINDS[kind]


def fitted_kind_from_wire(kind: model_service_pb2.FittedKind) -> FittedKind:
    """Return what is fitted; requests that do not say so are refused before."""
    return _FROM_FITTED_KIND[kind]


def job_kind_to_wire(kind: JobKind) -> job_service_pb2.JobKind:
    """Return the wire's name of what a job is about."""
    return _JOB_KINDS[kind]


def job_kind_from_wire(kind: job_service_pb2.JobKind) -> JobKind:
    """Return what a job is about; unspecified is an ingest."""
    return _FROM_JOB_KIND.get(kind, JobKind.INGEST)


def training_to_wire(spec: TrainingSpec) -> job_service_pb2.Training:
    """Return what a job fits, as it travels."""
    return job_service_pb2.Training(
        name=spec.name,
        kind=fitted_kind_to_wire(spec.kind),
        base_model=spec.base_model,
        size=spec.size,
        sample_size=spec.sample_size,
        model=spec.model,
    )


def training_from_wire(message: job_service_pb2.Training) -> TrainingSpec:
    """Return what a job fits."""
    kind = fitted_kind_from_wire(message.kind)
    return TrainingSpec(message.name, kind, message.size, message.sample_size, message.base_model)


def listed_model_from_wire(message: embedder_service_pb2.Model) -> Model:
    """Return a model as a worker lists it."""
    return Model(
        name=message.name,
        kind=model_kind_from_wire(message.kind),
        dim=message.dim,
        description=message.description,
        parameters=message.parameters,
        size_bytes=message.size_bytes,
        source=message.source,
        licence=message.licence,
        available=message.available,
        detail=message.detail,
        takes_text=message.takes_text,
    )


def model_to_wire(model: Model) -> model_service_pb2.Model:
    """Return a model as it travels."""
    return model_service_pb2.Model(
        name=model.name,
        kind=model_kind_to_wire(model.kind),
        dim=model.dim,
        description=model.description,
        parameters=model.parameters,
        size_bytes=model.size_bytes,
        source=model.source,
        licence=model.licence,
        available=model.available,
        detail=model.detail,
        takes_text=model.takes_text,
        fitted=_fitted_to_wire(model.fitted) if model.fitted else None,
    )


def model_from_wire(message: model_service_pb2.Model) -> Model:
    """Return a model."""
    return Model(
        name=message.name,
        kind=model_kind_from_wire(message.kind),
        dim=message.dim,
        description=message.description,
        parameters=message.parameters,
        size_bytes=message.size_bytes,
        source=message.source,
        licence=message.licence,
        available=message.available,
        detail=message.detail,
        takes_text=message.takes_text,
        fitted=_fitted_from_wire(message) if message.HasField("fitted") else None,
    )


def _fitted_to_wire(fitted: FittedModel) -> model_service_pb2.FittedModel:
    return model_service_pb2.FittedModel(
        name=fitted.name,
        kind=fitted_kind_to_wire(fitted.kind),
        base_model=fitted.base_model,
        digest=fitted.digest,
        content_hash=fitted.content_hash,
        collection=fitted.collection,
        create_time=time_to_wire(fitted.created_at),
    )


def _fitted_from_wire(message: model_service_pb2.Model) -> FittedModel:
    fitted = message.fitted
    return FittedModel(
        name=fitted.name,
        kind=fitted_kind_from_wire(fitted.kind),
        base_model=fitted.base_model,
        dim=message.dim,
        digest=fitted.digest,
        content_hash=fitted.content_hash,
        size_bytes=message.size_bytes,
        collection=fitted.collection,
        created_at=time_from_wire(fitted.create_time),
    )
