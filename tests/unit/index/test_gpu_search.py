"""What of a search a device answers, and what it leaves to the CPU; for every kind and metric see tests/contract."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from pixvec.domain import IndexKind, Metric, SearchOptions
from pixvec.index.gpu_holdings import GpuHoldings
from pixvec.index.gpu_memory import MemoryDevice
from pixvec.index.gpu_owner import DeviceOwner
from pixvec.index.interfaces import DEFAULT_OPTIONS, ShardHits, SpaceSpec
from tests.unit.index.segments import build, clustered, deletes, puts, sealed_shard, spec

DIM, LONG_S = 16, 300.0
EXACT = SearchOptions(exact=True)


class Searched:
    """A shard of one segment on a device, and the same by the CPU alone."""

    def __init__(self, space: SpaceSpec, rows: np.ndarray, folder: Path, dead: Sequence[int] = ()) -> None:
        self.shard = sealed_shard(space, rows, folder)
        self.shard.apply(deletes(dead), len(rows) + 1)
        self.device = MemoryDevice()
        self.owner = DeviceOwner("gpu0", lambda: self.device, patience_s=LONG_S)
        self.holdings = GpuHoldings([self.owner], None, least_rows=1)
        (view,) = self.shard.view.spaces["image"].sealed
        self.segment = view.segment
        self.holdings.reconcile({(1, 0): [self.segment]})

    def both(self, queries: np.ndarray, k: int, options: SearchOptions = EXACT) -> dict[str, float]:
        """Search by the device, expect what the CPU answers, and return who answered how many queries."""
        before = {cause: answered(cause) for cause in ("gpu", "limit", "dead", "unproved", "busy", "failed")}
        found = self.shard.search("image", queries, k, options=options)
        assert same(found, self.by_cpu(queries, k, options))
        changes = {cause: answered(cause) - count for cause, count in before.items()}
        return {cause: change for cause, change in changes.items() if change}

    def by_cpu(self, queries: np.ndarray, k: int, options: SearchOptions = EXACT) -> list[ShardHits]:
        gpu, self.segment.gpu = self.segment.gpu, None
        found = self.shard.search("image", queries, k, options=options)
        self.segment.gpu = gpu
        return found

    def close(self) -> None:
        self.holdings.close()


@pytest.fixture
def searched(tmp_path: Path) -> Iterator[type[Searched]]:
    made: list[Searched] = []

    class Closed(Searched):
        def __init__(self, space: SpaceSpec, rows: np.ndarray, dead: Sequence[int] = ()) -> None:
            super().__init__(space, rows, tmp_path / str(len(made)), dead)
            made.append(self)

    yield Closed
    for each in made:
        each.close()


def answered(by: str) -> float:
    return REGISTRY.get_sample_value("pixvec_gpu_queries_total", {"by": by}) or 0.0


def same(some: Sequence[ShardHits], others: Sequence[ShardHits]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(a.image_ids == b.image_ids and a.scores.tolist() == b.scores.tolist() for a, b in pairs)


def test_the_device_answers(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM), clustered(3_000, DIM))
    assert found.both(clustered(9, DIM, 1), 10) == {"gpu": 9}
    # In one go: twice the rows that are wanted, and some more, prove it.
    assert found.device.searches == [(9, 2 * (10 + 8) + 32)]


def test_dead_rows_are_asked_for_beside_the_live(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM), clustered(3_000, DIM), dead=range(0, 3_000, 3))
    assert found.both(clustered(9, DIM, 1), 10) == {"gpu": 9}
    ((_, asked),) = found.device.searches
    assert asked == 34 + 18 + 32


def test_where_the_nearest_are_dead_more_are_asked_for(searched: type[Searched]) -> None:
    rows = clustered(3_000, DIM)
    query = rows[:1]
    nearest = np.argsort(-(rows / np.linalg.norm(rows, axis=1)[:, None]) @ query[0])[:200]
    found = searched(spec(dim=DIM), rows, dead=nearest.tolist())
    assert found.both(query, 10) == {"gpu": 1}
    assert [asked for _, asked in found.device.searches] == [75, 300]


def test_where_more_are_dead_than_can_be_selected_the_cpu_answers(searched: type[Searched]) -> None:
    rows = clustered(6_000, DIM)
    query = rows[:1]
    nearest = np.argsort(-(rows / np.linalg.norm(rows, axis=1)[:, None]) @ query[0])[:2_500]
    found = searched(spec(dim=DIM), rows, dead=nearest.tolist())
    far = -query
    assert found.both(np.concatenate([query, far]), 10) == {"gpu": 1, "unproved": 1}


def test_strict_filters_are_for_the_cpu(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM), clustered(3_000, DIM), dead=range(1_501))
    assert found.both(clustered(3, DIM, 1), 10) == {"dead": 3}
    assert found.device.searches == []


def test_more_than_a_device_selects_is_for_the_cpu(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM), clustered(3_000, DIM))
    assert found.both(clustered(3, DIM, 1), 2_100) == {"limit": 3}
    assert found.both(clustered(3, DIM, 1), 1_500) == {"gpu": 3}
    assert found.device.searches == [(3, 2_048)]


def test_a_small_segment_is_returned_whole(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM), clustered(50, DIM), dead=[0, 1, 2])
    assert found.both(clustered(3, DIM, 1), 100) == {"gpu": 3}
    assert found.device.searches == [(3, 50)]


def test_rows_that_a_device_cannot_tell_apart_are_for_the_cpu(searched: type[Searched]) -> None:
    """More nearly equal rows than are selected: rounding the query moves it further than they are apart."""
    random = np.random.default_rng(0)
    blank = random.standard_normal(DIM)
    rows = (blank + random.standard_normal((3_000, DIM)) * 1e-4).astype(np.float32)
    far = clustered(500, DIM) + 20
    found = searched(spec(dim=DIM, metric=Metric.EUCLIDEAN), np.concatenate([rows, far]))
    outcome = found.both(np.array([blank, blank * 0.9]).astype(np.float32), 10)
    assert outcome == {"unproved": 2}
    assert found.both(far[:3], 10) == {"gpu": 3}


def test_equal_rows_within_reach_are_all_looked_at(searched: type[Searched]) -> None:
    """A cut through equal scores is by image ids: the shard asks until it has them all."""
    rows = np.concatenate([np.tile(clustered(1, DIM), (300, 1)), clustered(2_000, DIM, 1)])
    found = searched(spec(dim=DIM), rows)
    assert set(found.both(rows[:2], 10)) == {"gpu"}
    assert max(asked for _, asked in found.device.searches) >= 300


def test_a_query_beyond_float16_is_for_the_cpu(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM, metric=Metric.INNER_PRODUCT), clustered(3_000, DIM))
    queries = clustered(3, DIM, 1)
    queries[1] *= 1e6
    assert found.both(queries, 10) == {"gpu": 2, "unproved": 1}


def test_graphs_are_searched_by_the_cpu_unless_it_has_to_be_exact(searched: type[Searched]) -> None:
    found = searched(spec(IndexKind.HNSW, dim=DIM), clustered(3_000, DIM))
    assert found.both(clustered(3, DIM, 1), 10, DEFAULT_OPTIONS) == {}
    assert found.device.searches == []
    assert found.both(clustered(3, DIM, 1), 10, EXACT) == {"gpu": 3}


def test_lists_are_looked_through_as_by_the_cpu(searched: type[Searched]) -> None:
    found = searched(spec(IndexKind.IVF_SQ8, dim=DIM), clustered(3_000, DIM))
    for nprobe in (1, 3, 1_000):
        assert found.both(clustered(9, DIM, 1), 10, SearchOptions(nprobe=nprobe)) == {"gpu": 9}
    assert {asked for _, asked in found.device.searches} == {15}
    assert found.both(clustered(9, DIM, 1), 10, SearchOptions(nprobe=8, rescore=4)) == {"gpu": 9}
    assert found.device.searches[-1] == (9, 40)


def test_lists_that_hold_too_little_are_for_the_cpu(searched: type[Searched]) -> None:
    """It looks at everything then, so that as many are found as are asked for."""
    found = searched(spec(IndexKind.IVF_SQ8, dim=DIM, nlist=70), clustered(3_000, DIM))
    k = 1_000
    assert found.both(clustered(2, DIM, 1), k, SearchOptions(nprobe=1)) == {"unproved": 2}
    assert found.both(clustered(2, DIM, 1), k, SearchOptions(nprobe=70)) == {"gpu": 2}


def test_lists_beside_dead_rows(searched: type[Searched]) -> None:
    found = searched(spec(IndexKind.IVF_SQ8, dim=DIM), clustered(3_000, DIM), dead=range(0, 3_000, 3))
    (hits,) = found.shard.search("image", clustered(1, DIM, 1), 50)
    assert len(hits.image_ids) == 50
    assert not {int(name.removeprefix("image-")) % 3 for name in hits.image_ids} & {0}


def test_a_device_that_fails_is_not_asked_again(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM), clustered(3_000, DIM))
    found.device.is_broken = True
    assert found.both(clustered(3, DIM, 1), 10) == {"failed": 3}
    found.device.is_broken = False
    assert found.both(clustered(3, DIM, 1), 10) == {}
    assert found.device.searches == []


def test_what_is_taken_off_meanwhile_is_for_the_cpu(searched: type[Searched]) -> None:
    found = searched(spec(dim=DIM), clustered(3_000, DIM))
    gpu = found.segment.gpu
    (loaded,) = gpu.loaded.values()  # type: ignore[union-attr]
    loaded.close()
    before = answered("unloaded")
    assert found.both(clustered(3, DIM, 1), 10) == {}
    assert answered("unloaded") == before + 3
    assert not loaded.has_failed


def test_growing_rows_are_merged_with_those_of_a_device(searched: type[Searched]) -> None:
    rows = clustered(3_000, DIM)
    found = searched(spec(dim=DIM), rows)
    found.shard.apply(puts(rows[:5], first=9_000), 9_000)
    (hits,) = found.shard.search("image", rows[:1], 2)
    assert hits.image_ids == ["image-0", "image-9000"]
    assert hits.scores[0] == pytest.approx(hits.scores[1], abs=1e-6)


def test_segments_on_a_device_and_elsewhere_give_one_answer(searched: type[Searched], tmp_path: Path) -> None:
    rows = clustered(3_500, DIM)
    found = searched(spec(dim=DIM), rows[:3_000])
    found.shard.apply(puts(rows[3_000:], first=3_000), 3_502)
    build(found.shard, tmp_path / "second")
    on_device, elsewhere = (view.segment.gpu for view in found.shard.view.spaces["image"].sealed)
    assert (on_device is None, elsewhere is None) == (False, True)
    assert found.both(rows[2_995:3_005], 10) == {"gpu": 10}
