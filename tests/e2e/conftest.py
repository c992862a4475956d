"""The whole system, started as a user starts it, at one shard and at three."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixvec.client import Client
from pixvec.embedded.running import RunningSystem

# The small model of pictures and captions that the tests train.
TOWERS = "open_clip:local-dir:towers"
# The small detector of shapes that they train.
DETECTOR = "detector:fasterrcnn_resnet18_fpn/shapes"


@pytest.fixture(scope="session")
def pictures_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="package", params=[1, 3], ids=["1-shard", "3-shards"])
def system(
    request: pytest.FixtureRequest, pictures_root: Path, towers: Path, detector_weights: Path
) -> Iterator[RunningSystem]:
    searchers = 1 if request.param == 1 else 2
    options = {"weights": {TOWERS: towers, DETECTOR: detector_weights}, "roots": [pictures_root], "download": False}
    with RunningSystem(shards=request.param, searchers=searchers, **options) as running:
        yield running


@pytest.fixture
def client(system: RunningSystem) -> Iterator[Client]:
    with Client(system.address) as client:
        yield client


@pytest.fixture
def collection(client: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    name = "c-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:60].strip("-")
    client.create_collection(name, model="hog-color")
    yield name
    client.delete_collection(name)
