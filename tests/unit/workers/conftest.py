from collections.abc import Iterator

import pytest

from tests.unit.workers.ingesting import Works
from workers.batcher import Batcher


@pytest.fixture
def works() -> Iterator[Works]:
    batcher = Batcher(batch_images=2)
    batcher.start()
    yield Works(batcher)
    batcher.close()
