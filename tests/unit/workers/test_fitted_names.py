"""Fitted files in the model host: tried before they have a name, and loaded anew when a name is given again."""

import pickle

import numpy as np
import pytest
from safetensors.numpy import save

from pixvec.api.v1.collection_service_pb2 import REGION_EMBEDDING_CROP, RegionSettings
from pixvec.domain import FittedKind
from pixvec.errors import DigestMismatch, InvalidRequest, WeightsUnavailable
from pixvec.internal.v1 import embedder_service_pb2 as pb
from pixvec.rpc.models import fitted_kind_to_wire
from pixvec.vision.codebook import Codebook, save_codebook
from pixvec.vision.pca import Pca, save_pca
from pixvec.vision.weights import WeightSource
from tests.in_loop import in_loop
from tests.unit.workers.blobs import Blobs
from workers.batcher import Batcher
from workers.decode_pool import InlineDecoder
from workers.embedder import EmbedderService
from workers.model_host import ModelHost


def codebook(folder, seed=0, dim=128):
    rng = np.random.default_rng(seed)
    return save_codebook(Codebook(rng.random((4, dim), np.float32), np.ones(4, np.float32)), folder, f"book{seed}")


def pca(folder, dim=270):
    components = np.eye(dim, dtype=np.float32)[:3]
    return save_pca(Pca(np.zeros(dim, np.float32), components, np.ones(3, np.float32)), folder, "axes")


@pytest.fixture
def registered(tmp_path):
    return {"words": codebook(tmp_path)}


@pytest.fixture
def host(registered):
    return ModelHost(WeightSource(download=False, fitted=registered.get))


def test_a_name_that_was_given_again_is_loaded_anew_where_its_digest_is_asked_for(host, registered, tmp_path):
    first = host.get("sift-vlad:words")
    registered["words"] = codebook(tmp_path, seed=1)
    assert host.get("sift-vlad:words") is first
    assert host.get("sift-vlad:words", first.digest) is first
    second = host.get(host.choose("sift-vlad:words")[0])
    assert second.digest != first.digest
    assert host.get("sift-vlad:words", second.digest) is second
    with pytest.raises(DigestMismatch):
        host.get("sift-vlad:words", first.digest)


def test_another_worker_finds_out_by_the_digest(host, registered, tmp_path):
    stale = host.get("sift-vlad:words")
    registered["words"] = codebook(tmp_path, seed=1)
    digest = ModelHost(WeightSource(fitted=registered.get)).get("sift-vlad:words").digest
    assert host.find("sift-vlad:words", stale.digest) is stale
    assert host.get("sift-vlad:words", digest).digest == digest


def test_a_model_whose_file_stays_is_kept_though_it_is_not_what_is_asked_for(host):
    lbp = host.get("lbp")
    assert host.find("lbp", "cd" * 32) is lbp


@in_loop
async def test_crops_are_embedded_with_the_file_that_has_the_name_now(host, registered, tmp_path, monkeypatch):
    monkeypatch.setattr("workers.model_host.load_detector", lambda name, weights: Blobs())
    service = EmbedderService(host, InlineDecoder(), Batcher(1))
    settings = RegionSettings(detector="blobs", embedding=REGION_EMBEDDING_CROP)
    request = pb.ResolveRegionsRequest(settings=settings, image_model="sift-vlad:words")
    first = (await service.ResolveRegions(request, None)).digest
    registered["words"] = codebook(tmp_path, seed=1)
    second = (await service.ResolveRegions(request, None)).digest
    assert second != first
    elsewhere = EmbedderService(ModelHost(WeightSource(fitted=registered.get)), InlineDecoder(), Batcher(1))
    assert (await elsewhere.ResolveRegions(request, None)).digest == second


def tried(host, kind, content, base_model=""):
    return host.try_fitted(kind, "tried", base_model, content)


def test_a_file_is_tried_without_a_name_of_its_own(host, tmp_path):
    assert tried(host, FittedKind.SIFT_BOW, codebook(tmp_path).read_bytes()).dim == 4
    made = tried(host, FittedKind.PCA_WHITENED, pca(tmp_path).read_bytes(), "lbp")
    assert (made.dim, made.name) == (3, "lbp+pcaw:tried")
    assert host.find("sift-bow:tried") is None


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle's code ran",))


@pytest.mark.parametrize(
    ("kind", "make", "message"),
    [
        (FittedKind.SIFT_VLAD, lambda _: pickle.dumps(Bomb()), "cannot be read as safetensors"),
        (FittedKind.SIFT_VLAD, lambda _: b"\x00" * 3, "cannot be read as safetensors"),
        (FittedKind.SIFT_VLAD, lambda _: save({"centroids": np.ones((2, 128), np.float32)}), "not a fitted codebook"),
        (FittedKind.SIFT_VLAD, lambda folder: codebook(folder, dim=64).read_bytes(), "4 x 64"),
        (FittedKind.SIFT_VLAD, lambda folder: pca(folder).read_bytes(), "not a fitted codebook"),
        (FittedKind.PCA, lambda folder: pca(folder, dim=7).read_bytes(), "fitted on vectors of 7"),
        (FittedKind.PCA, lambda folder: pca(folder).read_bytes()[:-9], "cannot be read as safetensors"),
    ],
)
def test_what_is_no_such_file_is_refused(host, tmp_path, kind, make, message):
    base_model = "" if kind.is_codebook else "lbp"
    with pytest.raises(WeightsUnavailable, match=message):
        tried(host, kind, make(tmp_path), base_model)


def test_a_pca_after_a_pca_is_refused(host, tmp_path):
    with pytest.raises(InvalidRequest, match="comes after another step of its kind"):
        tried(host, FittedKind.PCA, pca(tmp_path).read_bytes(), "lbp+pca:other")


@in_loop
async def test_the_service_tells_what_a_file_makes_and_what_there_is(host, tmp_path):
    service = EmbedderService(host, InlineDecoder(), Batcher(1))
    kind = fitted_kind_to_wire(FittedKind.PCA)
    request = pb.TryFittedRequest(name="tried", kind=kind, base_model="lbp+flip", content=pca(tmp_path).read_bytes())
    answer = await service.TryFitted(request, None)
    assert (answer.dim, len(answer.digest), answer.base_model) == (3, 32, "lbp+flip")
    listed = {each.name: each for each in (await service.ListModels(pb.ListModelsRequest(), None)).models}
    assert listed["fasterrcnn_resnet50_fpn"].kind != listed["resnet50"].kind
    assert listed["resnet50"].parameters > 25_000_000
    assert listed["open_clip:NAME"].takes_text
