"""Shards that seal their rows: what a searcher does in the background, by hand and in this process."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions, VectorStorage
from pixvec.index.interfaces import Change, ShardHits, SpaceSpec
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from pixvec.index.space_rows import Build

# Whatever has grown is worth a segment.
EAGER = BuildPolicy(seal_rows=1, least_rows=1)
BUILT_KINDS = [kind for kind in IndexKind if kind is not IndexKind.AUTO]
LISTS = [IndexKind.IVF_SQ8, IndexKind.IVF_PQ, IndexKind.IVF_RABITQ]
EXACT = SearchOptions(exact=True)


def spec(
    kind: IndexKind = IndexKind.FLAT,
    metric: Metric = Metric.COSINE,
    storage: VectorStorage = VectorStorage.FLOAT16,
    dim: int = 16,
    **settings: int,
) -> SpaceSpec:
    return SpaceSpec("image", dim, metric, "ab" * 32, IndexSettings(kind, storage, **settings))


def clustered(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Return (count, dim) float32 as pictures have them: some near each other, most far apart."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((40, dim)) * 2
    rows = centres[random.integers(len(centres), size=count)] + random.standard_normal((count, dim))
    return rows.astype(np.float32)


def puts(rows: np.ndarray, first: int = 0) -> list[Change]:
    """Return a change for each row: image-0 and so on."""
    return [Change(f"image-{first + number}", {"image": row[None]}) for number, row in enumerate(rows)]


def deletes(numbers: Sequence[int]) -> list[Change]:
    return [Change(f"image-{number}", None) for number in numbers]


def begin(shard: Shard, policy: BuildPolicy = EAGER, kind: IndexKind | None = None) -> Build:
    """Begin the next build, of this kind however few its rows are."""
    build = shard.begin_build(policy)
    assert build is not None
    return build if kind is None else replace(build, kind=kind)


def build(shard: Shard, folder: Path, policy: BuildPolicy = EAGER, kind: IndexKind | None = None) -> Build:
    """Do the next build."""
    begun = begin(shard, policy, kind)
    shard.finish_build(begun, seal(folder, begun, index_in_this_process))
    return begun


def sealed_shard(space: SpaceSpec, rows: np.ndarray, folder: Path) -> Shard:
    """Return a shard with one sealed segment of the space's own kind."""
    shard = Shard([space])
    shard.apply(puts(rows), len(rows))
    build(shard, folder, kind=space.index.kind)
    return shard


def recall(found: Sequence[ShardHits], truth: Sequence[ShardHits]) -> float:
    """Return the share of the true images that were found."""
    both = zip(found, truth, strict=True)
    return float(np.mean([len(set(a.image_ids) & set(b.image_ids)) / len(b.image_ids) for a, b in both]))


def same(found: Sequence[ShardHits], expected: Sequence[ShardHits]) -> bool:
    """Whether the hits are the same rows, and their scores but for the order of summing up."""
    both = list(zip(found, expected, strict=True))
    return all(
        a.image_ids == b.image_ids
        and ordinals_of(a) == ordinals_of(b)
        and np.allclose(a.scores, b.scores, rtol=1e-5, atol=1e-5)
        for a, b in both
    )


def ordinals_of(hits: ShardHits) -> list[int]:
    """Return which of its image's rows each hit is."""
    return [0] * len(hits.image_ids) if hits.ordinals is None else hits.ordinals.tolist()
