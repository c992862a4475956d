"""Messages of SearchService to values, and back."""

from collections.abc import Mapping

from pixvec.api.v1 import common_pb2
from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.domain import Attributes, Hit, Region, region_id
from pixvec.rpc.attributes import to_values
from pixvec.rpc.conversions import consistency_from_wire, params_from_wire, token_from_wire
from pixvec.rpc.fusion import fusion_from_wire
from pixvec.rpc.matches import match_to_wire
from pixvec.rpc.regions import box_from_wire, region_to_wire
from services.gateway.new_spaces import REGION_SPACE
from services.gateway.query import (
    BatchQuery,
    BatchQueryAnswer,
    Classification,
    ClassifyQuery,
    Part,
    Query,
    QueryAnswer,
    Timings,
)

_DEFAULT_LIMIT = 10


def to_query(request: pb.QueryRequest) -> Query:
    """Return the query a request asks."""
    return Query(
        collection=request.collection,
        space=request.space,
        image=request.image,
        image_id=request.image_id,
        region_id=request.region_id,
        text=request.text,
        vector=request.vector.data,
        parts=tuple(map(_to_part, request.combination.parts)),
        box=box_from_wire(request.box) if request.HasField("box") else None,
        fusion=fusion_from_wire(request.fusion) if request.HasField("fusion") else None,
        limit=request.limit if request.HasField("limit") else _DEFAULT_LIMIT,
        offset=request.offset,
        min_score=request.min_score if request.HasField("min_score") else None,
        options=params_from_wire(request.params),
        consistency=consistency_from_wire(request.consistency),
        token=token_from_wire(request.token),
        attributes=request.include.attributes,
        regions=request.include.regions,
        masks=request.include.masks,
        match=request.include.match,
    )


def to_query_response(answer: QueryAnswer) -> pb.QueryResponse:
    """Return an answer as it travels."""
    hits, matches, scores = _to_hits(answer), answer.matches or {}, answer.scores or {}
    for hit in hits if matches else ():
        if hit.image_id in matches:
            hit.match.CopyFrom(match_to_wire(matches[hit.image_id]))
    for hit in hits if scores else ():
        hit.scores.update(scores[hit.image_id])
    return pb.QueryResponse(
        hits=hits,
        coverage=pb.Coverage(shards_total=answer.shards_total, shards_answered=answer.shards_answered),
        timings=to_timings(answer.timings),
        space=answer.space,
        attributes_missing=answer.attributes_missing,
        regions_missing=answer.regions_missing,
        matches_missing=answer.matches_missing,
    )


def to_batch_query(request: pb.QueryBatchRequest) -> BatchQuery:
    """Return the queries a request asks."""
    return BatchQuery(
        collection=request.collection,
        space=request.space,
        vectors=request.vectors.data,
        dim=request.vectors.dim,
        image_ids=tuple(request.image_ids.ids),
        images=tuple(request.images.contents),
        texts=tuple(request.texts.texts),
        limit=request.limit if request.HasField("limit") else _DEFAULT_LIMIT,
        min_score=request.min_score if request.HasField("min_score") else None,
        options=params_from_wire(request.params),
        consistency=consistency_from_wire(request.consistency),
        token=token_from_wire(request.token),
    )


def to_batch_response(answer: BatchQueryAnswer) -> pb.QueryBatchResponse:
    """Return answers as they travel."""
    return pb.QueryBatchResponse(
        results=[
            pb.PackedHits(image_ids=hits.image_ids, scores=hits.scores, ordinals=hits.ordinals)
            for hits in answer.results
        ],
        coverage=pb.Coverage(shards_total=answer.shards_total, shards_answered=answer.shards_answered),
        timings=to_timings(answer.timings),
        space=answer.space,
    )


def to_classify_query(request: pb.ClassifyRequest) -> ClassifyQuery:
    """Return what a request asks of pictures."""
    return ClassifyQuery(
        collection=request.collection,
        labels=tuple(request.labels),
        templates=tuple(request.templates),
        space=request.space,
        images=tuple(request.images.contents),
        image_ids=tuple(request.image_ids.ids),
        consistency=consistency_from_wire(request.consistency),
        token=token_from_wire(request.token),
    )


def to_classify_response(answer: Classification) -> pb.ClassifyResponse:
    """Return what pictures are of, as it travels."""
    return pb.ClassifyResponse(
        results=[pb.Classification(probabilities=each) for each in answer.results],
        exclusive=answer.exclusive,
        timings=to_timings(answer.timings),
        space=answer.space,
    )


def _to_part(part: pb.Combination.Part) -> Part:
    weight = part.weight if part.HasField("weight") else 1.0
    return Part(part.image, part.image_id, part.text, part.vector.data, weight)


def _to_hits(answer: QueryAnswer) -> list[pb.Hit]:
    if answer.of_regions:
        found = [to_region_hit(hit, answer.attributes, answer.regions) for hit in answer.hits]
        return found if answer.scores is None else [_of_any_region(hit, answer.scores) for hit in found]
    if answer.attributes:
        return [_to_full_hit(hit, answer.attributes) for hit in answer.hits]
    return [pb.Hit(image_id=hit.image_id, score=hit.score) for hit in answer.hits]


def _to_full_hit(hit: Hit, attributes: Mapping[str, Attributes]) -> pb.Hit:
    found: dict[str, common_pb2.Value] = to_values(attributes.get(hit.image_id, {}))
    return pb.Hit(image_id=hit.image_id, score=hit.score, attributes=found)


def to_region_hit(
    hit: Hit, attributes: Mapping[str, Attributes] | None, regions: Mapping[tuple[str, int], Region] | None
) -> pb.Hit:
    """Return a hit in the space of regions as it travels, with what is known of it."""
    of_image = attributes.get(hit.image_id, {}) if attributes else {}
    region = to_found_region(hit.image_id, hit.ordinal, regions)
    return pb.Hit(image_id=hit.image_id, score=hit.score, attributes=to_values(of_image), region=region)


def _of_any_region(hit: pb.Hit, scores: Mapping[str, Mapping[str, float]]) -> pb.Hit:
    """Return a hit of a fusion, without a region where the picture has none."""
    if REGION_SPACE not in scores[hit.image_id]:
        hit.ClearField("region")
    return hit


def to_found_region(image_id: str, ordinal: int, regions: Mapping[tuple[str, int], Region] | None) -> common_pb2.Region:
    """Return a region of an image as it travels: no more than its id where nothing else is known."""
    known = regions.get((image_id, ordinal)) if regions else None
    if known is None:
        return common_pb2.Region(region_id=region_id(image_id, ordinal), ordinal=ordinal)
    return region_to_wire(known, image_id)


def to_timings(timings: Timings) -> pb.Timings:
    """Return where the time went, as it travels."""
    return pb.Timings(
        total=timings.total,
        queue=timings.queue,
        decode=timings.decode,
        inference=timings.inference,
        search=timings.search,
        merge=timings.merge,
        hydrate=timings.hydrate,
    )
