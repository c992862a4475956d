"""Messages of QueryScene to values, and back."""

from pixvec.api.v1 import common_pb2
from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.domain import Region
from pixvec.rpc.attributes import to_values
from pixvec.rpc.conversions import consistency_from_wire, params_from_wire, token_from_wire
from pixvec.rpc.regions import region_to_wire
from services.gateway.query_converters import to_found_region, to_region_hit, to_timings
from services.gateway.scene import SceneAnswer, SceneHit, SceneQuery

_DEFAULT_LIMIT = 10
_DEFAULT_OBJECTS = 10


def to_scene_query(request: pb.QuerySceneRequest) -> SceneQuery:
    """Return the scene a request asks for."""
    return SceneQuery(
        collection=request.collection,
        image=request.image,
        image_id=request.image_id,
        max_objects=request.max_objects if request.HasField("max_objects") else _DEFAULT_OBJECTS,
        limit=request.limit if request.HasField("limit") else _DEFAULT_LIMIT,
        min_score=request.min_score if request.HasField("min_score") else None,
        options=params_from_wire(request.params),
        consistency=consistency_from_wire(request.consistency),
        token=token_from_wire(request.token),
        attributes=request.include.attributes,
        regions=request.include.regions,
        masks=request.include.masks,
    )


def to_scene_response(answer: SceneAnswer) -> pb.QuerySceneResponse:
    """Return an answer as it travels."""
    objects = answer.objects
    return pb.QuerySceneResponse(
        objects=[
            pb.SceneObject(
                region=_to_region(region, answer),
                hits=[to_region_hit(hit, answer.attributes, answer.regions) for hit in hits],
            )
            for region, hits in zip(objects.regions, answer.hits, strict=True)
        ],
        pictures=[_to_picture(hit, answer) for hit in answer.pictures],
        objects_found=objects.found,
        coverage=pb.Coverage(shards_total=answer.shards_total, shards_answered=answer.shards_answered),
        timings=to_timings(answer.timings),
        space=answer.space,
        attributes_missing=answer.attributes_missing,
        regions_missing=answer.regions_missing,
        width=objects.width,
        height=objects.height,
    )


def _to_region(region: Region, answer: SceneAnswer) -> common_pb2.Region:
    """Return an object of the query. Its box tells objects apart, so it is there whatever was asked for."""
    found = region_to_wire(region, answer.image_id)
    if not answer.objects.regions_known:
        found.ClearField("box")
    return found


def _to_picture(hit: SceneHit, answer: SceneAnswer) -> pb.SceneHit:
    attributes = answer.attributes.get(hit.image_id, {}) if answer.attributes else {}
    matches = zip(hit.objects.scores, hit.objects.ordinals, strict=True)
    return pb.SceneHit(
        image_id=hit.image_id,
        score=hit.score,
        attributes=to_values(attributes),
        objects=[
            pb.ObjectMatch(score=score, region=to_found_region(hit.image_id, ordinal, answer.regions))
            for score, ordinal in matches
        ],
    )
