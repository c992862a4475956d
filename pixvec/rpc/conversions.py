"""Small values between the domain and the wire: enumerations, tokens, item errors. Needs protobuf only."""

import datetime as dt

from google.protobuf.timestamp_pb2 import Timestamp

from pixvec.api.v1 import common_pb2, image_service_pb2, job_service_pb2, search_service_pb2
from pixvec.domain import (
    Consistency,
    ImageState,
    IngestStage,
    ItemError,
    JobState,
    Metric,
    OnDuplicate,
    OnExisting,
    SearchOptions,
    SeqToken,
    ShardPosition,
)

_METRICS: dict[Metric, common_pb2.Metric] = {
    Metric.COSINE: common_pb2.METRIC_COSINE,
    Metric.INNER_PRODUCT: common_pb2.METRIC_INNER_PRODUCT,
    Metric.EUCLIDEAN: common_pb2.METRIC_EUCLIDEAN,
}
_CONSISTENCIES: dict[Consistency, search_service_pb2.Consistency] = {
    Consistency.EVENTUAL: search_service_pb2.CONSISTENCY_EVENTUAL,
    Consistency.SESSION: search_service_pb2.CONSISTENCY_SESSION,
}
_STAGES: dict[IngestStage, image_service_pb2.IngestStage] = {
    IngestStage.QUEUED: image_service_pb2.INGEST_STAGE_QUEUED,
    IngestStage.DECODED: image_service_pb2.INGEST_STAGE_DECODED,
    IngestStage.EMBEDDED: image_service_pb2.INGEST_STAGE_EMBEDDED,
    IngestStage.INDEXED: image_service_pb2.INGEST_STAGE_INDEXED,
}
_ON_EXISTING: dict[OnExisting, image_service_pb2.OnExisting] = {
    OnExisting.REPLACE: image_service_pb2.ON_EXISTING_REPLACE,
    OnExisting.SKIP: image_service_pb2.ON_EXISTING_SKIP,
    OnExisting.FAIL: image_service_pb2.ON_EXISTING_FAIL,
}
_ON_DUPLICATE: dict[OnDuplicate, image_service_pb2.OnDuplicate] = {
    OnDuplicate.KEEP: image_service_pb2.ON_DUPLICATE_KEEP,
    OnDuplicate.LINK: image_service_pb2.ON_DUPLICATE_LINK,
    OnDuplicate.REJECT: image_service_pb2.ON_DUPLICATE_REJECT,
}
_IMAGE_STATES: dict[ImageState, image_service_pb2.ImageState] = {
    ImageState.PENDING: image_service_pb2.IMAGE_STATE_PENDING,
    ImageState.INDEXED: image_service_pb2.IMAGE_STATE_INDEXED,
    ImageState.FAILED: image_service_pb2.IMAGE_STATE_FAILED,
    ImageState.LINKED: image_service_pb2.IMAGE_STATE_LINKED,
}
_JOB_STATES: dict[JobState, job_service_pb2.JobState] = {
    JobState.PLANNING: job_service_pb2.JOB_STATE_PLANNING,
    JobState.RUNNING: job_service_pb2.JOB_STATE_RUNNING,
    JobState.COMPLETED: job_service_pb2.JOB_STATE_COMPLETED,
    JobState.FAILED: job_service_pb2.JOB_STATE_FAILED,
}
_DEFAULT_OPTIONS = SearchOptions()
_FROM_METRIC = {wire: metric for metric, wire in _METRICS.items()}
_FROM_CONSISTENCY = {wire: consistency for consistency, wire in _CONSISTENCIES.items()}
_FROM_STAGE = {wire: stage for stage, wire in _STAGES.items()}
_FROM_ON_EXISTING = {wire: choice for choice, wire in _ON_EXISTING.items()}
_FROM_ON_DUPLICATE = {wire: choice for choice, wire in _ON_DUPLICATE.items()}
_FROM_IMAGE_STATE = {wire: state for state, wire in _IMAGE_STATES.items()}
_FROM_JOB_STATE = {wire: state for state, wire in _JOB_STATES.items()}


def metric_to_wire(metric: Metric) -> common_pb2.Metric:
    """Return the wire's name of a metric."""
    return _METRICS[metric]


def metric_from_wire(metric: common_pb2.Metric) -> Metric:
    """Return the metric; unspecified is cosine."""
    return _FROM_METRIC.get(metric, Metric.COSINE)


def consistency_to_wire(consistency: Consistency) -> search_service_pb2.Consistency:
    """Return the wire's name of a consistency."""
    return _CONSISTENCIES[consistency]


def consistency_from_wire(consistency: search_service_pb2.Consistency) -> Consistency:
    """Return the consistency; unspecified is eventual."""
    return _FROM_CONSISTENCY.get(consistency, Consistency.EVENTUAL)


def stage_to_wire(stage: IngestStage) -> image_service_pb2.IngestStage:
    """Return the wire's name of a stage."""
    return _STAGES[stage]


def stage_from_wire(stage: image_service_pb2.IngestStage) -> IngestStage:
    """Return the stage; unspecified is INDEXED, the default of `wait`."""
    return _FROM_STAGE.get(stage, IngestStage.INDEXED)


def on_existing_to_wire(choice: OnExisting) -> image_service_pb2.OnExisting:
    """Return the wire's name of what to do with an id that is there."""
    return _ON_EXISTING[choice]


def on_existing_from_wire(choice: image_service_pb2.OnExisting) -> OnExisting:
    """Return what to do with an id that is there; unspecified is REPLACE."""
    return _FROM_ON_EXISTING.get(choice, OnExisting.REPLACE)


def on_duplicate_to_wire(choice: OnDuplicate) -> image_service_pb2.OnDuplicate:
    """Return the wire's name of what to do with a picture that is there under another id."""
    return _ON_DUPLICATE[choice]


def on_duplicate_from_wire(choice: image_service_pb2.OnDuplicate) -> OnDuplicate:
    """Return what to do with a picture that is there under another id; unspecified is KEEP."""
    return _FROM_ON_DUPLICATE.get(choice, OnDuplicate.KEEP)


def image_state_to_wire(state: ImageState) -> image_service_pb2.ImageState:
    """Return the wire's name of an image's state."""
    return _IMAGE_STATES[state]


def image_state_from_wire(state: image_service_pb2.ImageState) -> ImageState:
    """Return an image's state; one from a newer server reads as pending."""
    return _FROM_IMAGE_STATE.get(state, ImageState.PENDING)


def job_state_to_wire(state: JobState) -> job_service_pb2.JobState:
    """Return the wire's name of a job's state."""
    return _JOB_STATES[state]


def job_state_from_wire(state: job_service_pb2.JobState) -> JobState:
    """Return a job's state; one from a newer server reads as running."""
    return _FROM_JOB_STATE.get(state, JobState.RUNNING)


def position_to_wire(position: ShardPosition) -> common_pb2.ShardPosition:
    """Return a place in the feed as it travels."""
    return common_pb2.ShardPosition(shard=position.shard, epoch=position.epoch, seq=position.seq)


def position_from_wire(position: common_pb2.ShardPosition) -> ShardPosition:
    """Return a place in the feed."""
    return ShardPosition(position.shard, position.epoch, position.seq)


def token_to_wire(token: SeqToken) -> common_pb2.SeqToken:
    """Return a token as it travels."""
    return common_pb2.SeqToken(positions=[position_to_wire(position) for position in token.positions])


def token_from_wire(token: common_pb2.SeqToken) -> SeqToken:
    """Return a token."""
    return SeqToken(tuple(position_from_wire(position) for position in token.positions))


def params_to_wire(options: SearchOptions) -> common_pb2.SearchParams | None:
    """Return how hard to search, as it travels; None for the defaults."""
    if options == _DEFAULT_OPTIONS:
        return None
    return common_pb2.SearchParams(exact=options.exact, ef=options.ef, nprobe=options.nprobe, rescore=options.rescore)


def params_from_wire(params: common_pb2.SearchParams) -> SearchOptions:
    """Return how hard to search."""
    return SearchOptions(params.exact, params.ef, params.nprobe, params.rescore)


def item_error_to_wire(error: ItemError) -> image_service_pb2.ItemError:
    """Return why an item failed, as it travels."""
    return image_service_pb2.ItemError(reason=error.reason, message=error.message, retryable=error.retryable)


def item_error_from_wire(error: image_service_pb2.ItemError) -> ItemError:
    """Return why an item failed."""
    return ItemError(error.reason, error.message, error.retryable)


def time_to_wire(moment: dt.datetime) -> Timestamp:
    """Return an aware moment as a timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def time_from_wire(stamp: Timestamp) -> dt.datetime:
    """Return a timestamp as an aware moment in UTC."""
    return stamp.ToDatetime(dt.UTC)
