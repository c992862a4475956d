"""Messages of SearcherService to values, and back."""

import numpy as np

from pixvec.catalogue.feed import FeedEntry
from pixvec.errors import InvalidRequest, InvalidVector
from pixvec.index.interfaces import Float32Array, ImageScores, ShardHits
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.rpc.conversions import params_from_wire, position_from_wire
from pixvec.rpc.index_settings import standing_to_wire
from services.searcher.held_shard import HeldShard
from services.searcher.search import Answer, Query, ScoreQuery


def to_query(request: pb.SearchRequest) -> Query:
    """Return what is searched for. Raises InvalidVector when the bytes are no rows of `dim` numbers."""
    return Query(
        collection_id=request.collection_id,
        shards=tuple(request.shards),
        space=request.space,
        digest=request.digest,
        vectors=_to_rows(request.vectors, request.dim),
        k=request.k,
        min_score=request.min_score if request.HasField("min_score") else None,
        wait_for=tuple(position_from_wire(position) for position in request.wait_for),
        options=params_from_wire(request.params),
    )


def to_entries(request: pb.ApplyRequest) -> list[FeedEntry]:
    """Return the pushed rows. Raises InvalidRequest unless they ascend from `prev_seq`."""
    entries = [FeedEntry(entry.seq, entry.image_id, entry.deleted, entry.record) for entry in request.entries]
    before = request.prev_seq
    for entry in entries:
        if entry.seq <= before:
            raise InvalidRequest(f"entries must ascend above prev_seq: {entry.seq} follows {before}", field="entries")
        before = entry.seq
    return entries


def to_search_response(answer: Answer) -> pb.SearchResponse:
    """Return hits as they travel."""
    return pb.SearchResponse(
        rows=[_to_row_hits(hits) for hits in answer.rows],
        shards_answered=answer.shards_answered,
        search_seconds=answer.search_s,
    )


def to_vectors_response(vectors: dict[str, Float32Array]) -> pb.GetVectorsResponse:
    """Return stored vectors as they travel."""
    return pb.GetVectorsResponse(
        vectors=[
            pb.StoredVector(image_id=image_id, data=rows.astype("<f4", copy=False).tobytes())
            for image_id, rows in vectors.items()
        ]
    )


def to_score_query(request: pb.ScoreRequest) -> ScoreQuery:
    """Return what is to be scored. Raises InvalidVector when the bytes are no rows of `dim` numbers."""
    return ScoreQuery(
        collection_id=request.collection_id,
        shard=request.shard,
        space=request.space,
        digest=request.digest,
        vectors=_to_rows(request.vectors, request.dim),
        image_ids=tuple(request.image_ids),
        wait_for=tuple(position_from_wire(position) for position in request.wait_for),
    )


def to_score_response(scored: dict[str, ImageScores]) -> pb.ScoreResponse:
    """Return scores as they travel."""
    return pb.ScoreResponse(
        images=[
            pb.ImageScores(image_id=image_id, scores=each.scores.tolist(), ordinals=each.ordinals.tolist())
            for image_id, each in scored.items()
        ]
    )


def to_status(held: HeldShard) -> pb.ShardStatus:
    """Return how a shard stands."""
    return pb.ShardStatus(
        collection_id=held.collection.collection_id,
        shard=held.shard,
        epoch=held.epoch,
        applied_seq=held.applied_seq,
        snapshot_seq=held.snapshot_seq,
        image_count=held.index.image_count,
        vector_bytes=held.index.vector_bytes,
        ready=held.ready,
        index=standing_to_wire(held.standing),
    )


def _to_row_hits(hits: ShardHits) -> pb.RowHits:
    if hits.ordinals is None:
        return pb.RowHits(image_ids=hits.image_ids, scores=hits.scores.tolist())
    return pb.RowHits(image_ids=hits.image_ids, scores=hits.scores.tolist(), ordinals=hits.ordinals.tolist())


def _to_rows(data: bytes, dim: int) -> Float32Array:
    if not data or len(data) % (4 * dim):
        raise InvalidVector(
            f"{len(data)} bytes are no rows of {dim} little-endian float32 numbers; send 4 bytes a number",
            field="vectors",
        )
    rows: Float32Array = np.frombuffer(data, "<f4").reshape(-1, dim)
    return rows
