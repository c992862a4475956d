"""Answers into values."""

from collections.abc import Sequence

from pixvec.api.v1 import collection_service_pb2, common_pb2, image_service_pb2, job_service_pb2, search_service_pb2
from pixvec.client.scene_values import ObjectMatch, SceneHit, SceneObject, SceneResult
from pixvec.client.values import (
    BatchHits,
    BatchResult,
    Classification,
    ClassifyResult,
    CollectionInfo,
    Coverage,
    DeleteResult,
    DuplicatesResult,
    Failure,
    FoundRegion,
    Hit,
    ImageInfo,
    SearchResult,
    Timings,
)
from pixvec.domain import JobInfo
from pixvec.rpc.attributes import from_values
from pixvec.rpc.conversions import (
    image_state_from_wire,
    item_error_from_wire,
    job_state_from_wire,
    time_from_wire,
    token_from_wire,
)
from pixvec.rpc.matches import match_from_wire
from pixvec.rpc.models import job_kind_from_wire, training_from_wire
from pixvec.rpc.regions import region_from_wire
from pixvec.rpc.spaces import spaces_from_wire

_NO_ATTRIBUTES: dict[str, bool] = {}
_NO_SCORES: dict[str, float] = {}


def collection_info(message: collection_service_pb2.Collection, model_choice: str = "") -> CollectionInfo:
    """Return a collection."""
    return CollectionInfo(
        name=message.name,
        spaces=spaces_from_wire(message),
        shard_count=message.shard_count,
        image_count=message.image_count,
        created_at=time_from_wire(message.create_time),
        model_choice=model_choice,
    )


def job_info(message: job_service_pb2.Job) -> JobInfo:
    """Return a job."""
    return JobInfo(
        job_id=message.job_id,
        collection=message.collection,
        state=job_state_from_wire(message.state),
        total=message.total,
        queued=message.queued,
        decoded=message.decoded,
        embedded=message.embedded,
        indexed=message.indexed,
        failed=message.failed,
        created_at=time_from_wire(message.create_time),
        ended_at=time_from_wire(message.end_time) if message.HasField("end_time") else None,
        error=item_error_from_wire(message.error) if message.HasField("error") else None,
        token=token_from_wire(message.token),
        kind=job_kind_from_wire(message.kind),
        training=training_from_wire(message.training) if message.HasField("training") else None,
    )


def image(message: image_service_pb2.Image) -> ImageInfo:
    """Return what is known of an image."""
    return ImageInfo(
        image_id=message.image_id,
        state=image_state_from_wire(message.state),
        content_hash=message.content_hash,
        size_bytes=message.size_bytes,
        format=message.format,
        width=message.width,
        height=message.height,
        attributes=from_values(message.attributes),
        created_at=time_from_wire(message.create_time),
        updated_at=time_from_wire(message.update_time),
        error=item_error_from_wire(message.error) if message.HasField("error") else None,
        duplicate_of=message.duplicate_of,
        regions=tuple(map(_region, message.regions)),
    )


def failure(message: job_service_pb2.ItemFailure) -> Failure:
    """Return a failed item."""
    return Failure(message.ordinal, message.image_id, item_error_from_wire(message.error), message.uri)


def delete_result(message: image_service_pb2.DeleteImagesResponse) -> DeleteResult:
    """Return what a delete did."""
    return DeleteResult(message.deleted, message.not_found, token_from_wire(message.token))


def search_result(message: search_service_pb2.QueryResponse) -> SearchResult:
    """Return the answer to a search."""
    return SearchResult(
        hits=tuple([_hit(hit) for hit in message.hits]),
        coverage=_coverage(message.coverage),
        timings=_timings(message.timings),
        space=message.space,
        attributes_missing=message.attributes_missing,
        regions_missing=message.regions_missing,
        matches_missing=message.matches_missing,
    )


def duplicates_result(message: search_service_pb2.FindDuplicatesResponse) -> DuplicatesResult:
    """Return copies of a picture, and what is like it."""
    return DuplicatesResult(
        hits=tuple(map(_hit, message.hits)),
        coverage=_coverage(message.coverage),
        timings=_timings(message.timings),
        space=message.space,
        matches_missing=message.matches_missing,
        compared=message.compared,
    )


def batch_result(message: search_service_pb2.QueryBatchResponse) -> BatchResult:
    """Return the answers to a batch."""
    return BatchResult(
        results=tuple(map(_batch_hits, message.results)),
        coverage=_coverage(message.coverage),
        timings=_timings(message.timings),
        space=message.space,
    )


def classify_result(message: search_service_pb2.ClassifyResponse, labels: Sequence[str]) -> ClassifyResult:
    """Return what pictures are of. `labels` are those that were asked about."""
    return ClassifyResult(
        results=tuple(_classification(each, labels) for each in message.results),
        exclusive=message.exclusive,
        timings=_timings(message.timings),
        space=message.space,
    )


def scene_result(message: search_service_pb2.QuerySceneResponse) -> SceneResult:
    """Return the answer to a search for a whole scene."""
    return SceneResult(
        objects=tuple(SceneObject(_region(each.region), tuple(map(_hit, each.hits))) for each in message.objects),
        pictures=tuple(map(_scene_hit, message.pictures)),
        objects_found=message.objects_found,
        coverage=_coverage(message.coverage),
        timings=_timings(message.timings),
        space=message.space,
        width=message.width,
        height=message.height,
        attributes_missing=message.attributes_missing,
        regions_missing=message.regions_missing,
    )


def _scene_hit(message: search_service_pb2.SceneHit) -> SceneHit:
    objects = tuple(ObjectMatch(each.score, _region(each.region)) for each in message.objects)
    return SceneHit(message.image_id, message.score, objects, from_values(message.attributes))


def _batch_hits(message: search_service_pb2.PackedHits) -> BatchHits:
    return BatchHits(tuple(message.image_ids), tuple(message.scores), tuple(message.ordinals))


def _classification(message: search_service_pb2.Classification, labels: Sequence[str]) -> Classification:
    probabilities = message.probabilities
    order = sorted(range(len(labels)), key=lambda place: -probabilities[place])
    return Classification(tuple(labels[place] for place in order), tuple(probabilities[place] for place in order))


def _coverage(message: search_service_pb2.Coverage) -> Coverage:
    return Coverage(message.shards_total, message.shards_answered)


def _timings(message: search_service_pb2.Timings) -> Timings:
    return Timings(
        message.total,
        message.queue,
        message.decode,
        message.inference,
        message.search,
        message.merge,
        message.hydrate,
    )


def _hit(message: search_service_pb2.Hit) -> Hit:
    attributes = from_values(message.attributes) if message.attributes else _NO_ATTRIBUTES
    region = _region(message.region) if message.HasField("region") else None
    match = match_from_wire(message.match) if message.HasField("match") else None
    scores = dict(sorted(message.scores.items())) if message.scores else _NO_SCORES
    return Hit(message.image_id, message.score, attributes, region, match, scores)


def _region(message: common_pb2.Region) -> FoundRegion:
    if not message.HasField("box"):
        return FoundRegion(message.region_id, message.ordinal)
    found = region_from_wire(message)
    return FoundRegion(message.region_id, found.ordinal, found.box, found.class_name, found.score, found.mask)
