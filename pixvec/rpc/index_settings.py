"""How a space is indexed, between the domain and the wire. Needs protobuf only."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pixvec.api.v1 import collection_service_pb2 as pb
from pixvec.domain import IndexKind, IndexSettings, IndexStanding, VectorStorage
from pixvec.errors import InvalidRequest

_KINDS: dict[IndexKind, pb.IndexKind] = {
    IndexKind.AUTO: pb.INDEX_KIND_AUTO,
    IndexKind.FLAT: pb.INDEX_KIND_FLAT,
    IndexKind.FLAT_INT8: pb.INDEX_KIND_FLAT_INT8,
    IndexKind.FLAT_BINARY: pb.INDEX_KIND_FLAT_BINARY,
    IndexKind.HNSW: pb.INDEX_KIND_HNSW,
    IndexKind.IVF_SQ8: pb.INDEX_KIND_IVF_SQ8,
    IndexKind.IVF_PQ: pb.INDEX_KIND_IVF_PQ,
    IndexKind.IVF_RABITQ: pb.INDEX_KIND_IVF_RABITQ,
}
_STORAGES: dict[VectorStorage, pb.VectorStorage] = {
    VectorStorage.FLOAT16: pb.VECTOR_STORAGE_FLOAT16,
    VectorStorage.FLOAT32: pb.VECTOR_STORAGE_FLOAT32,
}
_FROM_KIND = {wire: kind for kind, wire in _KINDS.items()}
_FROM_STORAGE = {wire: storage for storage, wire in _STORAGES.items()}
_FIELDS = ("kind", "storage", "hnsw_m", "ef_construction", "nlist")
_BY_PATH = {f"index.{name}": (name,) for name in _FIELDS} | {"index": _FIELDS, "*": _FIELDS}


def index_to_wire(settings: IndexSettings) -> pb.IndexSettings:
    """Return index settings as they travel: defaults of the kind are left out."""
    return pb.IndexSettings(
        kind=_KINDS[settings.kind],
        storage=_STORAGES[settings.storage],
        hnsw_m=settings.hnsw_m or None,
        ef_construction=settings.ef_construction or None,
        nlist=settings.nlist or None,
    )


def index_from_wire(index: pb.IndexSettings) -> IndexSettings:
    """Return index settings; those of a newer server read as the defaults."""
    return IndexSettings(
        _FROM_KIND.get(index.kind, IndexKind.AUTO),
        _FROM_STORAGE.get(index.storage, VectorStorage.FLOAT16),
        index.hnsw_m,
        index.ef_construction,
        index.nlist,
    )


def standing_to_wire(standing: IndexStanding) -> pb.IndexStanding:
    """Return how an index stands, as it travels."""
    return pb.IndexStanding(
        segment_count=standing.segment_count,
        kinds=[_KINDS[kind] for kind in standing.kinds],
        growing_rows=standing.growing_rows,
        sealed_rows=standing.sealed_rows,
        writes_pushed_back=standing.writes_pushed_back,
        build_error=standing.build_error,
    )


def standing_from_wire(standing: pb.IndexStanding) -> IndexStanding:
    """Return how an index stands; kinds of a newer server are left out."""
    return IndexStanding(
        standing.segment_count,
        tuple(_FROM_KIND[kind] for kind in standing.kinds if kind in _FROM_KIND),
        standing.growing_rows,
        standing.sealed_rows,
        standing.writes_pushed_back,
        standing.build_error,
    )


def index_change(index: pb.IndexSettings, paths: Sequence[str]) -> Callable[[IndexSettings], IndexSettings]:
    """Return what an update makes of index settings. `paths`: what its mask takes over from `index`; by default what
    that sets. Raises InvalidRequest for other paths, and when there is nothing to take over."""
    given, names = index_from_wire(index), _names(index, paths)
    return lambda settings: replace(settings, **{name: getattr(given, name) for name in names})


def _names(index: pb.IndexSettings, paths: Sequence[str]) -> set[str]:
    for path in paths:
        if path not in _BY_PATH:
            raise InvalidRequest(
                f"{path!r} of a collection cannot change; {', '.join(_BY_PATH)} can", field="update_mask"
            )
    names = {name for path in paths for name in _BY_PATH[path]}
    names = names or {field.name for field, _ in index.ListFields()}
    if not names:
        raise InvalidRequest("nothing to change: set what of `index` is to be other than it is", field="index")
    return names
