"""What every device promises: the twin in memory, and the first GPU that FAISS finds, where there is one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import IndexKind, Metric, SearchOptions, VectorStorage
from pixvec.index.gpu import MAX_SELECTED, Declined, DeviceFailed, DeviceIndex
from pixvec.index.gpu_bounds import lost_lengths, unseen_ceilings
from pixvec.index.gpu_faiss import FaissGpu, gpu_count
from pixvec.index.gpu_holdings import GpuHoldings
from pixvec.index.gpu_lists import int8_lists
from pixvec.index.gpu_memory import MemoryDevice
from pixvec.index.gpu_owner import DeviceOwner
from pixvec.index.gpu_sizes import flat_bytes
from pixvec.index.interfaces import DEFAULT_OPTIONS
from pixvec.index.rows import exact_scores, prepare_rows, row_lengths
from pixvec.index.sealed import SealedSegment
from pixvec.index.shard import Shard
from tests.unit.index.segments import BUILT_KINDS, clustered, deletes, sealed_shard, spec

ROWS, DIM, QUERIES = 3_000, 48, 20
EXACT = SearchOptions(exact=True)
LONG_S = 300.0


@pytest.fixture(params=["twin", "gpu"])
def owner(request: pytest.FixtureRequest) -> Iterator[DeviceOwner]:
    if request.param == "gpu" and not gpu_count():
        pytest.skip("there is no GPU here: faiss.get_num_gpus() is 0")
    owner = DeviceOwner("gpu0", MemoryDevice if request.param == "twin" else lambda: FaissGpu(0), patience_s=LONG_S)
    yield owner
    owner.close()


def vectors(count: int, metric: Metric, seed: int) -> np.ndarray:
    return prepare_rows(clustered(count, DIM, seed), spec(metric=metric, dim=DIM))


def flat(owner: DeviceOwner, rows: np.ndarray, metric: Metric, half: bool) -> DeviceIndex:
    return owner.run(lambda device: device.flat(rows, metric, half=half))


def closed(owner: DeviceOwner, index: DeviceIndex) -> None:
    owner.run(lambda _: index.close())


@pytest.mark.parametrize("half", [True, False], ids=["float16", "float32"])
@pytest.mark.parametrize("metric", list(Metric))
def test_what_is_left_out_is_no_better_than_is_said(owner: DeviceOwner, metric: Metric, half: bool) -> None:
    rows, queries = vectors(ROWS, metric, 1), vectors(QUERIES, metric, 2)
    rows = rows.astype(np.float16).astype(np.float32) if half else rows
    index = flat(owner, rows, metric, half)
    found = owner.search(index, queries, 30)
    longest = float(row_lengths(rows).max())
    ceilings = unseen_ceilings(metric, queries, found.distances[:, -1], lost_lengths(queries, half=half), longest)
    for query, there, ceiling in zip(queries, found.rows, ceilings, strict=True):
        scores = exact_scores(metric, query, rows)
        assert len(set(there.tolist())) == 30
        assert np.delete(scores, there).max() <= ceiling
        # Not said of anything: the bound is near what was found last.
        assert ceiling <= scores[there].min() + 0.01 * abs(scores[there]).max()
    closed(owner, index)


@pytest.mark.parametrize("metric", list(Metric))
def test_more_asked_than_there_is(owner: DeviceOwner, metric: Metric) -> None:
    index = flat(owner, vectors(5, metric, 1), metric, True)
    found = owner.search(index, vectors(2, metric, 2), 8)
    assert [sorted(row.tolist()) for row in found.rows] == [[-1, -1, -1, 0, 1, 2, 3, 4]] * 2
    assert (found.rows[:, :5] >= 0).all()
    closed(owner, index)


@pytest.mark.parametrize("kind", [IndexKind.IVF_SQ8, IndexKind.IVF_PQ, IndexKind.IVF_RABITQ])
@pytest.mark.parametrize("metric", list(Metric))
def test_lists_are_searched_as_by_the_cpu(owner: DeviceOwner, metric: Metric, kind: IndexKind, tmp_path: Path) -> None:
    lists = int8_lists(segment_of(sealed_shard(spec(kind, metric, dim=DIM), clustered(ROWS, DIM), tmp_path)))
    index = owner.run(lambda device: device.lists(lists))
    queries = vectors(QUERIES, metric, 2)
    by_device = owner.search(index, queries, 50, 16)
    lists.nprobe = 16
    distances, rows = lists.search(queries, 50)
    assert np.allclose(by_device.distances, distances, rtol=1e-3, atol=1e-3)
    same = [len(np.intersect1d(a, b)) for a, b in zip(by_device.rows, rows, strict=True)]
    assert min(same) >= 49
    closed(owner, index)


def test_no_more_rows_are_selected_than_is_said(owner: DeviceOwner) -> None:
    rows = vectors(ROWS, Metric.COSINE, 1)
    index = flat(owner, rows, Metric.COSINE, True)
    found = owner.search(index, rows[:2], MAX_SELECTED)
    assert [len(set(row.tolist())) for row in found.rows] == [MAX_SELECTED] * 2
    with pytest.raises(Declined) as declined:
        owner.search(index, rows[:2], MAX_SELECTED + 1)
    assert declined.value.cause == "failed"
    assert owner.search(index, rows[:2], 1).rows.tolist() == [[0], [1]]
    closed(owner, index)


def test_memory_is_taken_as_is_said_and_given_back(owner: DeviceOwner) -> None:
    rows = np.random.default_rng(1).random((200_000, 128), np.float32)
    size = flat_bytes(*rows.shape, half=True)
    # The first search has the device load what it works with.
    closed(owner, flat(owner, rows[:10], Metric.COSINE, True))
    before = owner.run(lambda device: device.free_bytes())
    index = flat(owner, rows, Metric.COSINE, True)
    taken = before - owner.run(lambda device: device.free_bytes())
    assert 0.9 * size <= taken <= size + 8 * 2**20
    closed(owner, index)
    assert abs(before - owner.run(lambda device: device.free_bytes())) <= 8 * 2**20


def test_what_was_taken_off_is_declined(owner: DeviceOwner) -> None:
    rows = vectors(5, Metric.COSINE, 1)
    index = flat(owner, rows, Metric.COSINE, True)
    closed(owner, index)
    closed(owner, index)
    with pytest.raises(Declined) as declined:
        owner.search(index, rows, 1)
    assert declined.value.cause == "unloaded"


def test_numbers_beyond_float16_harm_nothing(owner: DeviceOwner) -> None:
    rows = vectors(ROWS, Metric.EUCLIDEAN, 1)
    index = flat(owner, rows, Metric.EUCLIDEAN, True)
    owner.search(index, rows[:3] * 1e12, 5)
    assert owner.search(index, rows[:3], 1).rows.tolist() == [[0], [1], [2]]
    closed(owner, index)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Shard]:
    made: dict[tuple[IndexKind, Metric, VectorStorage], Shard] = {}

    def make(kind: IndexKind, metric: Metric, storage: VectorStorage) -> Shard:
        key = (kind, metric, storage)
        if key not in made:
            folder = tmp_path_factory.mktemp("shard")
            made[key] = sealed_shard(spec(kind, metric, storage, dim=DIM), clustered(ROWS, DIM), folder)
            made[key].apply(deletes(range(0, ROWS, 7)), ROWS + 1)
        return made[key]

    return make


def segment_of(shard: Shard) -> SealedSegment:
    return shard.view.spaces["image"].sealed[0].segment


@pytest.mark.parametrize("storage", list(VectorStorage))
@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", BUILT_KINDS)
def test_a_segment_answers_exactly_what_the_cpu_does(
    owner: DeviceOwner, shards: Callable[..., Shard], kind: IndexKind, metric: Metric, storage: VectorStorage
) -> None:
    """To the bit, and among equal scores too, beside dead rows, with every kind and metric."""
    shard = shards(kind, metric, storage)
    queries = clustered(QUERIES, DIM, seed=2)
    by_cpu = shard.search("image", queries, 10, options=EXACT)
    holdings = GpuHoldings([owner], 2**30, least_rows=1)
    assert holdings.reconcile({(1, 0): [segment_of(shard)]}) == []
    by_gpu = shard.search("image", queries, 10, options=EXACT)
    assert [hits.image_ids for hits in by_gpu] == [hits.image_ids for hits in by_cpu]
    assert [hits.scores.tolist() for hits in by_gpu] == [hits.scores.tolist() for hits in by_cpu]
    approximate = shard.search("image", queries, 10, options=DEFAULT_OPTIONS)
    assert min(len(set(a.image_ids) & set(b.image_ids)) for a, b in zip(approximate, by_cpu, strict=True)) >= 8
    holdings.reconcile({})
    assert segment_of(shard).gpu is None


def test_a_device_that_is_not_there_fails() -> None:
    """The classes of the installed FAISS take these arguments: they get as far as to look for the device."""
    gpu = FaissGpu.__new__(FaissGpu)
    faiss = pytest.importorskip("faiss")
    gpu._number, gpu._resources = gpu_count(), faiss.StandardGpuResources()
    rows = vectors(2_000, Metric.COSINE, 1)
    with pytest.raises(DeviceFailed, match="Invalid GPU device"):
        gpu.flat(rows, Metric.COSINE, half=True)
    lists = faiss.index_factory(DIM, "IVF16,SQ8", faiss.METRIC_INNER_PRODUCT)
    lists.train(rows)
    with pytest.raises(DeviceFailed, match="Invalid GPU device"):
        gpu.lists(lists)
