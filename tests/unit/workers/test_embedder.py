"""A call that finds no room is refused as a whole, and keeps no room from others. Pictures are cut to their boxes."""

from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image

from pixvec.api.v1 import common_pb2
from pixvec.errors import BoxOutside, Overloaded
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.vision.preprocess import Preprocess
from tests.in_loop import in_loop
from tests.pictures import encode
from workers.batcher import Batcher
from workers.decode_pool import InlineDecoder
from workers.embedder import EmbedderService


class Model:
    name, dim, digest, preprocess = "model", 3, "ab" * 32, Preprocess(8, 8)

    def embed(self, pixels):
        """Return the mean colour of each picture."""
        return pixels.mean(axis=(1, 2)).astype(np.float32)


class OneModel:
    def find(self, name, digest=""):
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


@in_loop
async def test_pictures_are_cut_to_their_boxes():
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    picture.paste((0, 0, 255), (20, 0, 40, 20))
    content = encode(picture, "PNG")
    boxes = [common_pb2.Box(x1=0, y1=0, x2=20, y2=20), common_pb2.Box(x1=21, y1=3, x2=39, y2=18)]
    outside = common_pb2.Box(x1=50, y1=0, x2=60, y2=20)
    request = pb.EmbedImagesRequest(model="model", images=[content] * 3, boxes=[*boxes, outside])
    batcher = Batcher(4)
    batcher.start()
    try:
        answer = await EmbedderService(OneModel(), InlineDecoder(), batcher).EmbedImages(request, None)
    finally:
        batcher.close()
    red, blue, refused = answer.embeddings
    assert np.frombuffer(red.vector, "<f4").tolist() == [255, 0, 0]
    assert np.frombuffer(blue.vector, "<f4").tolist() == [0, 0, 255]
    assert refused.error.reason == BoxOutside.reason
    assert "40 x 20 pixels" in refused.error.message
