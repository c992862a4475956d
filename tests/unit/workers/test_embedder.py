"""A call that finds no room is refused as a whole, and keeps no room from others."""

from concurrent.futures import Future

import pytest

from pixvec.errors import Overloaded
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.vision.preprocess import Preprocess
from tests.in_loop import in_loop
from workers.batcher import Batcher
from workers.embedder import EmbedderService


class Model:
    name, dim, digest, preprocess = "model", 3, "ab" * 32, Preprocess(8, 8)


class OneModel:
    def find(self, name):
        return Model()


class FullDecoder:
    """Has room for two pictures."""

    def __init__(self):
        self.decoding = []

    def decode(self, content, preprocess, *, priority=False):
        if len(self.decoding) == 2:
            raise Overloaded("too many pictures wait")
        self.decoding.append(Future())
        return self.decoding[-1]


@in_loop
async def test_pictures_of_a_call_that_is_refused_are_not_decoded():
    decoder = FullDecoder()
    request = pb.EmbedImagesRequest(model="model", images=[b"1", b"2", b"3"])
    with pytest.raises(Overloaded):
        await EmbedderService(OneModel(), decoder, Batcher(1)).EmbedImages(request, None)
    assert [each.cancelled() for each in decoder.decoding] == [True, True]
