"""A model host turns texts into vectors, and says of which classes pictures are."""

import itertools
import threading
from concurrent.futures import Future

import numpy as np
import pytest

from pixvec.errors import DigestMismatch, InvalidRequest, NoTextTower, PictureTruncated
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.vision.decode import Picture
from pixvec.vision.preprocess import Preprocess
from pixvec.vision.zero_shot import TEMPLATES
from tests.in_loop import in_loop
from workers.batcher import Batcher
from workers.embedder import EmbedderService

WORDS = ("red", "green", "blue")


class Colours:
    """Pictures of one colour and texts that name one lie along the same axis; it notes its texts, pass by pass."""

    name, dim, digest, preprocess = "colours", 3, "ab" * 32, Preprocess(2, 2)
    logit_scale, logit_bias = 10.0, None

    def __init__(self):
        self.passes: list[list[str]] = []
        self.may_read = threading.Event()
        self.may_read.set()
        self.reading = threading.Event()

    def embed(self, pixels):
        self.passes.append(["pictures"] * len(pixels))
        vectors = pixels.mean(axis=(1, 2)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_texts(self, texts):
        self.reading.set()
        assert self.may_read.wait(30)
        self.passes.append(list(texts))
        named = np.array([[1 + 8 * (word in text) for word in WORDS] for text in texts], np.float32)
        return named / np.linalg.norm(named, axis=1, keepdims=True)


class Seeing:
    """Takes pictures only."""

    name, dim, digest, preprocess = "seeing", 3, "cd" * 32, Preprocess(2, 2)

    def embed(self, pixels):
        raise AssertionError("no picture was given")


class Host:
    def __init__(self, *models):
        self._models = {model.name: model for model in models}

    def find(self, name, digest=""):
        return self._models[name]

    def choose(self, name):
        return name, ""


class Decoder:
    """Takes the names of colours for pictures of them."""

    def decode(self, content, preprocess, *, priority=False):
        decoded: Future[Picture] = Future()
        if content == b"torn":
            decoded.set_exception(PictureTruncated("the file ends too soon"))
        else:
            pixels = np.full((2, 2, 3), [255 * (word == content.decode()) for word in WORDS], np.uint8)
            decoded.set_result(Picture(pixels, "PNG", 2, 2))
        return decoded


@pytest.fixture
def model():
    return Colours()


@pytest.fixture
def batcher():
    batcher = Batcher(batch_images=4)
    batcher.start()
    yield batcher
    batcher.close()


@pytest.fixture
def service(model, batcher):
    return EmbedderService(Host(model, Seeing()), Decoder(), batcher)


def numbers(packed):
    return np.frombuffer(packed, "<f4")


@in_loop
async def test_texts_become_vectors_in_order(service, model):
    answer = await service.EmbedTexts(pb.EmbedTextsRequest(model="colours", texts=["a blue one", "a red one"]), None)
    truth = model.embed_texts(["a blue one", "a red one"])
    assert [numbers(vector) for vector in answer.vectors] == pytest.approx(truth)
    assert answer.inference_seconds > 0


def test_texts_that_wait_share_a_pass_and_go_ahead_of_bulk_work(model, batcher):
    model.may_read.clear()
    first = batcher.submit_texts(model, ["red"])
    assert model.reading.wait(30)
    bulk = batcher.submit(model, np.full((1, 2, 2, 3), 9, np.uint8))
    later = [batcher.submit_texts(model, texts) for texts in (["green"], ["blue", "red"])]
    model.may_read.set()
    for each in (bulk, first, *later):
        each.result(30)
    assert model.passes == [["red"], ["green", "blue", "red"], ["pictures"]]
    assert later[1].result().vectors == pytest.approx(model.embed_texts(["blue", "red"]))


def test_texts_and_pictures_of_one_model_never_share_a_pass(model, batcher):
    model.may_read.clear()
    first = batcher.submit_texts(model, ["red"])
    assert model.reading.wait(30)
    picture = batcher.submit(model, np.full((1, 2, 2, 3), 9, np.uint8), priority=True)
    text = batcher.submit_texts(model, ["green"])
    model.may_read.set()
    for each in (first, picture, text):
        each.result(30)
    assert model.passes == [["red"], ["pictures"], ["green"]]


@pytest.mark.parametrize("call", ["EmbedTexts", "ClassifyImages"])
@in_loop
async def test_a_model_of_pictures_only_and_another_digest_are_refused(service, call):
    request = {
        "EmbedTexts": lambda **model: pb.EmbedTextsRequest(texts=["a"], **model),
        "ClassifyImages": lambda **model: pb.ClassifyImagesRequest(labels=["a"], images=[b"red"], **model),
    }[call]
    with pytest.raises(NoTextTower, match="seeing makes vectors of pictures only"):
        await getattr(service, call)(request(model="seeing"), None)
    with pytest.raises(DigestMismatch):
        await getattr(service, call)(request(model="colours", digest=bytes(32)), None)


@in_loop
async def test_it_says_which_models_take_texts(service):
    resolved = [await service.ResolveModel(pb.ResolveModelRequest(model=name), None) for name in ("colours", "seeing")]
    assert [each.takes_text for each in resolved] == [True, False]


def classify(**pictures):
    return pb.ClassifyImagesRequest(model="colours", labels=WORDS, **pictures)


@in_loop
async def test_pictures_are_of_the_class_that_their_vectors_are_near(service, model):
    answer = await service.ClassifyImages(classify(images=[b"blue", b"torn", b"red"]), None)
    blue, torn, red = answer.results
    assert torn.error.reason == PictureTruncated.reason
    assert not torn.probabilities
    cosine = model.embed_texts(["blue"])[0]
    truth = np.exp(10 * cosine) / np.exp(10 * cosine).sum()
    assert blue.probabilities == pytest.approx(truth, abs=1e-6)
    assert red.probabilities == pytest.approx(truth[[2, 1, 0]], abs=1e-6)
    assert answer.exclusive
    assert model.passes[-2] == ["pictures"] * 2


@in_loop
async def test_each_label_stands_for_itself_where_the_model_has_a_bias(service, model):
    model.logit_bias = -5.0
    answer = await service.ClassifyImages(classify(images=[b"red"]), None)
    cosine = model.embed_texts(["red"])[0]
    assert answer.results[0].probabilities == pytest.approx(1 / (1 + np.exp(-(10 * cosine - 5))), abs=1e-6)
    assert not answer.exclusive


@in_loop
async def test_stored_vectors_are_classified_as_their_pictures_are(service, model):
    seen = await service.ClassifyImages(classify(images=[b"green"]), None)
    stored = np.array([0, 1, 0], "<f4").tobytes()
    found = await service.ClassifyImages(classify(vectors=[stored]), None)
    assert found.results[0].probabilities == pytest.approx(seen.results[0].probabilities)
    with pytest.raises(InvalidRequest, match="a vector of colours has 3 float32 numbers"):
        await service.ClassifyImages(classify(vectors=[stored[:8]]), None)


@in_loop
async def test_classes_are_made_once_and_a_few_texts_at_a_time(service, model):
    labels = [f"{word} {number}" for word in WORDS for number in range(10)]
    request = pb.ClassifyImagesRequest(model="colours", labels=labels, images=[b"red"])
    first = await service.ClassifyImages(request, None)
    texts = [texts for texts in model.passes if texts != ["pictures"]]
    assert list(itertools.chain(*texts)) == [
        template.replace("{}", label) for label in labels for template in TEMPLATES
    ]
    assert max(map(len, texts)) <= 64
    again = await service.ClassifyImages(request, None)
    assert again.results == first.results
    assert [texts for texts in model.passes if texts != ["pictures"]] == texts
    request.templates.append("the {}")
    await service.ClassifyImages(request, None)
    assert model.passes[-2] == [f"the {label}" for label in labels]


@in_loop
async def test_a_picture_that_is_none_is_told_alone(service):
    answer = await service.ClassifyImages(classify(images=[b"torn"]), None)
    assert [each.error.reason for each in answer.results] == [PictureTruncated.reason]
