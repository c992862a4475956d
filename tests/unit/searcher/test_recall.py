import numpy as np
import pytest
from prometheus_client import REGISTRY

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from services.searcher.recall import RecallProbe, recall_of

SPACE = SpaceSpec("image", 16, Metric.COSINE, index=IndexSettings(IndexKind.IVF_SQ8, nlist=64))
ROWS = 20_000


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    shard = Shard([SPACE])
    vectors = np.random.default_rng(0).standard_normal((ROWS, 16)).astype(np.float32)
    shard.apply([Change(f"{number}", {"image": vectors[number : number + 1]}) for number in range(ROWS)], ROWS)
    build = shard.begin_build(BuildPolicy())
    assert build is not None
    shard.finish_build(build, seal(tmp_path_factory.mktemp("shard"), build, index_in_this_process))
    return shard


class Held:
    """As much of a HeldShard as is asked for."""

    def __init__(self, shard: Shard) -> None:
        self.index = shard
        self.shard = 0
        self.dropped = False
        self.collection = type("Named", (), {"name": "recalled"})()


def exported() -> float | None:
    labels = {"collection": "recalled", "space": "image", "shard": "0", "filtered": "false"}
    return REGISTRY.get_sample_value("pixvec_search_recall", labels)


def queries(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 16)).astype(np.float32)


def test_the_harder_search_recalls_more(shard: Shard) -> None:
    view = shard.view.spaces["image"]
    lazy, hard = (
        np.mean([recall_of(view, query[None], 10, SearchOptions(nprobe=nprobe)) for query in queries(30)])
        for nprobe in (1, 64)
    )
    assert lazy < 0.6
    assert hard > 0.95


def test_nothing_to_find_says_nothing() -> None:
    view = Shard([SPACE]).view.spaces["image"]
    assert recall_of(view, queries(1), 10, SearchOptions()) is None


def test_a_sampled_query_is_exported(shard: Shard) -> None:
    probe = RecallProbe(1.0, clock=lambda: 0.0)
    probe.consider(Held(shard), "image", queries(1), 10, SearchOptions(nprobe=64))  # type: ignore[arg-type]
    probe.close()
    assert exported() == pytest.approx(1.0, abs=0.11)


@pytest.mark.parametrize(
    ("chance", "options"), [(0.5, SearchOptions()), (0.0, SearchOptions(exact=True))], ids=["not sampled", "exact"]
)
def test_others_are_left_alone(shard: Shard, chance: float, options: SearchOptions) -> None:
    probe = RecallProbe(0.1, clock=lambda: 0.0, chance=lambda: chance)
    held = Held(shard)
    held.collection.name = "left alone"
    probe.consider(held, "image", queries(1), 10, options)  # type: ignore[arg-type]
    probe.close()
    labels = {"collection": "left alone", "space": "image", "shard": "0", "filtered": "false"}
    assert REGISTRY.get_sample_value("pixvec_search_recall", labels) is None


def test_it_rests_after_each(shard: Shard) -> None:
    times = iter([0.0, 0.0, 1.0, 10.0, 10.0])
    probe = RecallProbe(1.0, clock=lambda: next(times))
    probe.consider(Held(shard), "image", queries(1), 10, SearchOptions())  # type: ignore[arg-type]
    probe._thread.submit(int).result()
    asked: list[object] = []
    probe._thread.submit = lambda *work: asked.append(work)  # type: ignore[method-assign, assignment]
    probe.consider(Held(shard), "image", queries(1), 10, SearchOptions())  # type: ignore[arg-type]
    assert not asked
    probe.close()
