"""Messages of FindDuplicates to values, and back."""

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.rpc.conversions import consistency_from_wire, token_from_wire
from pixvec.rpc.matches import match_to_wire
from services.gateway.duplicates import DuplicatesAnswer, DuplicatesQuery
from services.gateway.query_converters import to_timings

_DEFAULT_LIMIT = 10


def to_duplicates_query(request: pb.FindDuplicatesRequest) -> DuplicatesQuery:
    """Return what a request asks for."""
    return DuplicatesQuery(
        collection=request.collection,
        image=request.image,
        image_id=request.image_id,
        limit=request.limit if request.HasField("limit") else _DEFAULT_LIMIT,
        min_score=request.min_score if request.HasField("min_score") else None,
        consistency=consistency_from_wire(request.consistency),
        token=token_from_wire(request.token),
    )


def to_duplicates_response(answer: DuplicatesAnswer) -> pb.FindDuplicatesResponse:
    """Return an answer as it travels."""
    return pb.FindDuplicatesResponse(
        hits=[
            pb.Hit(image_id=hit.image_id, score=hit.score, match=match_to_wire(answer.matches[hit.image_id]))
            for hit in answer.hits
        ],
        coverage=pb.Coverage(shards_total=answer.shards_total, shards_answered=answer.shards_answered),
        timings=to_timings(answer.timings),
        space=answer.space,
        compared=answer.compared,
        matches_missing=answer.matches_missing,
    )
