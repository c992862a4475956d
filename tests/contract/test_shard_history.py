"""Whatever happens to a shard, in whatever order: it answers as a model in plain Python does."""

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions, VectorStorage
from pixvec.index.brute import NumpyShard
from pixvec.index.interfaces import Change, ShardHits, SpaceSpec
from pixvec.index.manifest import ShardIdentity
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealed import SealedSegment
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from pixvec.index.snapshot import clean, load_newest, remove_segments, write_snapshot
from pixvec.index.space_rows import Build
from tests.unit.index.segments import ordinals_of

_Changes = list[tuple[str, list[tuple[float, ...]] | None]]

_SPACES = ("image", "shape")
_NAMES = [f"image-{number}" for number in range(12)]
# Few values, so that equal scores are the rule, and exact in float16.
_ROWS = st.lists(st.tuples(*[st.sampled_from([-1.0, 0.5, 1.0, 3.0])] * 3), min_size=1, max_size=3)
_CHANGES = st.lists(st.tuples(st.sampled_from(_NAMES), st.none() | _ROWS), min_size=1, max_size=6)
_QUERIES = st.lists(st.tuples(*[st.sampled_from([-2.0, 0.5, 1.0])] * 3), min_size=1, max_size=3)
# Four product codes want more rows to learn from than there are.
_KINDS = st.sampled_from([kind for kind in IndexKind if kind not in (IndexKind.AUTO, IndexKind.IVF_PQ)])
_POLICIES = st.sampled_from(
    [
        BuildPolicy(seal_rows=1, least_rows=1),
        BuildPolicy(seal_rows=1, least_rows=1, max_segment_rows=4),
        BuildPolicy(seal_rows=6, least_rows=2),
    ]
)
_OPTIONS = st.builds(
    SearchOptions,
    ef=st.sampled_from([0, 1, 50]),
    nprobe=st.sampled_from([0, 1]),
    rescore=st.sampled_from([0.0, -1.0, 5.0]),
)


@dataclass
class _UnderWay:
    """A build: begun, then written into a segment, or nothing where all of it was dead."""

    build: Build
    is_written: bool = False
    segment: SealedSegment | None = None


class ShardHistory(RuleBasedStateMachine):
    """Random writes, deletes, builds, snapshots, restarts and searches; `model` holds the rows of each image by space:
    all that it has in one, in the other all but the first.

    For cosine a row has one number, so that normalising does not round and the model ties where the shards do.
    """

    metric: Metric
    storage: VectorStorage

    def __init__(self) -> None:
        super().__init__()
        index = IndexSettings(storage=self.storage)
        spaces = tuple(SpaceSpec(name, 3, self.metric, "ab" * 32, index) for name in _SPACES)
        self.identity = ShardIdentity(1, 0, "epoch", spaces)
        self.shard = Shard(spaces, block_bytes=4 * 3 * 5)
        self.twin = NumpyShard(spaces)
        self.model: dict[str, dict[str, list[tuple[float, ...]]]] = {name: {} for name in _SPACES}
        self.feed: list[Change] = []
        self.snapshot_seq = 0
        self.builds: list[_UnderWay] = []
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(changes=_CHANGES)
    def apply(self, changes: _Changes) -> None:
        known = [(image_id, None if rows is None else self.by_space(rows)) for image_id, rows in changes]
        batch = [
            Change(image_id, rows and {space: np.array(each, np.float32) for space, each in rows.items()})
            for image_id, rows in known
        ]
        self.feed += batch
        for shard in (self.shard, self.twin):
            shard.apply(batch, len(self.feed))
        for image_id, rows in known:
            for space, model in self.model.items():
                model.pop(image_id, None)
                if rows and space in rows:
                    model[image_id] = [self.kept(row) for row in rows[space]]

    def by_space(self, rows: list[tuple[float, ...]]) -> dict[str, list[tuple[float, ...]]]:
        if self.metric is Metric.COSINE:
            rows = [
                tuple(number if place == len(rows) % 3 else 0.0 for place, number in enumerate(row)) for row in rows
            ]
        return {space: each for space, each in zip(_SPACES, (rows, rows[1:]), strict=True) if each}

    def kept(self, row: tuple[float, ...]) -> tuple[float, ...]:
        """Return a row as shards keep it."""
        return tuple(float(np.sign(number)) for number in row) if self.metric is Metric.COSINE else row

    @rule(kind=_KINDS, policy=_POLICIES, is_idle=st.booleans())
    def begin_build(self, kind: IndexKind, policy: BuildPolicy, is_idle: bool) -> None:
        build = self.shard.begin_build(policy, is_idle=is_idle)
        if build is not None:
            self.builds.append(_UnderWay(replace(build, kind=kind)))

    @precondition(lambda self: any(not each.is_written for each in self.builds))
    @rule()
    def write_segment(self) -> None:
        under_way = next(each for each in self.builds if not each.is_written)
        under_way.segment = seal(self.path, under_way.build, index_in_this_process)
        under_way.is_written = True

    @precondition(lambda self: any(each.is_written for each in self.builds))
    @rule()
    def finish_build(self) -> None:
        under_way = next(each for each in self.builds if each.is_written)
        self.builds.remove(under_way)
        self.shard.finish_build(under_way.build, under_way.segment)

    @precondition(lambda self: bool(self.builds))
    @rule(last=st.booleans())
    def abandon_build(self, last: bool) -> None:
        under_way = self.builds.pop(-1 if last else 0)
        self.shard.abandon_build(under_way.build)

    @rule(kind=_KINDS, policy=_POLICIES, before=_CHANGES, after=_CHANGES)
    def build_beside_writes(self, kind: IndexKind, policy: BuildPolicy, before: _Changes, after: _Changes) -> None:
        build = self.shard.begin_build(policy, is_idle=True)
        self.apply(before)
        if build is not None:
            build = replace(build, kind=kind)
            segment = seal(self.path, build, index_in_this_process)
            self.apply(after)
            self.shard.finish_build(build, segment)

    @rule(kind=_KINDS, policy=_POLICIES)
    def build_all(self, kind: IndexKind, policy: BuildPolicy) -> None:
        for _ in range(50):
            build = self.shard.begin_build(policy)
            if build is None:
                return
            build = replace(build, kind=kind)
            self.shard.finish_build(build, seal(self.path, build, index_in_this_process))
        pytest.fail("there is always something to build")

    @rule()
    def snapshot(self) -> None:
        write_snapshot(self.path, self.shard.view, self.identity)
        remove_segments(self.path, lambda: self.shard.segment_names)
        self.snapshot_seq = len(self.feed)

    @precondition(lambda self: self.snapshot_seq > 0)
    @rule()
    def restart(self) -> None:
        """What was being built is lost, and its folders are removed."""
        self.builds.clear()
        clean(self.path)
        remove_segments(self.path, set)
        restored = load_newest(self.path, self.identity)
        assert restored is not None
        assert restored.applied_seq == self.snapshot_seq
        restored.apply(self.feed[self.snapshot_seq :], len(self.feed))
        self.shard = restored

    @rule(space=st.sampled_from(_SPACES), queries=_QUERIES, k=st.sampled_from([1, 3, 100]))
    def search_exactly(self, space: str, queries: list[tuple[float, ...]], k: int) -> None:
        for shard in (self.shard, self.twin):
            found = shard.search(space, np.array(queries, np.float32), k, options=SearchOptions(exact=True))
            for query, hits in zip(queries, found, strict=True):
                self.check_best(space, query, hits, k)

    @rule(space=st.sampled_from(_SPACES), queries=_QUERIES, k=st.sampled_from([1, 3, 100]), options=_OPTIONS)
    def search(self, space: str, queries: list[tuple[float, ...]], k: int, options: SearchOptions) -> None:
        """Segments that compare everything find the best; of others, as many images as there are, each by a row of its
        own, by its best one where nothing may be left out."""
        kinds = {view.segment.seal.kind for view in self.shard.view.spaces[space].sealed}
        found = self.shard.search(space, np.array(queries, np.float32), k, options=options)
        for query, hits in zip(queries, found, strict=True):
            if kinds <= {IndexKind.FLAT}:
                self.check_best(space, query, hits, k)
            else:
                self.check_right(space, query, hits, k)

    def check_best(self, space: str, query: tuple[float, ...], hits: ShardHits, k: int) -> None:
        scored = sorted(
            min((-self.score(query, stored), image_id, ordinal) for ordinal, stored in enumerate(rows))
            for image_id, rows in self.model[space].items()
        )[:k]
        assert hits.image_ids == [image_id for _, image_id, _ in scored]
        assert hits.scores.tolist() == pytest.approx([-score for score, _, _ in scored], abs=1e-5)
        assert ordinals_of(hits) == [ordinal for _, _, ordinal in scored]

    def check_right(self, space: str, query: tuple[float, ...], hits: ShardHits, k: int) -> None:
        assert len(hits.image_ids) == len(set(hits.image_ids)) == min(k, len(self.model[space]))
        assert hits.scores.tolist() == sorted(hits.scores.tolist(), reverse=True)
        for image_id, score, ordinal in zip(hits.image_ids, hits.scores.tolist(), ordinals_of(hits), strict=True):
            assert score == pytest.approx(self.score(query, self.model[space][image_id][ordinal]), abs=1e-5)

    @invariant()
    def agrees(self) -> None:
        for shard in (self.shard, self.twin):
            assert shard.image_count == len(self.model["image"])
            assert shard.applied_seq == len(self.feed)
            for space, model in self.model.items():
                stored = shard.vectors(space, _NAMES)
                assert {image_id: list(map(tuple, rows.tolist())) for image_id, rows in stored.items()} == model

    def score(self, query: tuple[float, ...], stored: tuple[float, ...]) -> float:
        dot = sum(a * b for a, b in zip(query, stored, strict=True))
        if self.metric is Metric.INNER_PRODUCT:
            return float(np.float32(dot))
        if self.metric is Metric.COSINE:
            return float(np.float32(dot / math.hypot(*query)))
        return float(np.float32(-math.dist(query, stored)))


def _history(name: str, metric: Metric, storage: VectorStorage) -> type:
    machine = type(name, (ShardHistory,), {"metric": metric, "storage": storage})
    case = machine.TestCase
    case.settings = settings(
        max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    return case


TestInnerProductHistory = _history("InnerProductHistory", Metric.INNER_PRODUCT, VectorStorage.FLOAT16)
TestEuclideanHistory = _history("EuclideanHistory", Metric.EUCLIDEAN, VectorStorage.FLOAT32)
TestCosineHistory = _history("CosineHistory", Metric.COSINE, VectorStorage.FLOAT16)
TestCosineFloat32History = _history("CosineFloat32History", Metric.COSINE, VectorStorage.FLOAT32)
