"""A detector is loaded once, whatever regions it is for."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pixvec.domain import RegionEmbedding, RegionSettings
from pixvec.errors import DigestMismatch, WeightsUnavailable
from tests.unit.workers.blobs import Blobs, blob_regions
from tests.unit.workers.ingesting import Means
from workers.region_models import RegionKey, RegionModels

LIMIT_S = 30.0
ROI = RegionKey(RegionSettings("blobs"), "means")
FEW = RegionKey(RegionSettings("blobs", max_regions=1), "means")
CROP = RegionKey(RegionSettings("blobs", RegionEmbedding.CROP), "means")


class Loading:
    """Loads blobs once it may; `trouble` is raised instead."""

    def __init__(self):
        self.loaded, self.trouble, self.may_go = [], None, threading.Event()
        self.may_go.set()

    def __call__(self, name):
        assert self.may_go.wait(LIMIT_S)
        self.loaded.append(name)
        if self.trouble:
            raise self.trouble
        return Blobs()


@pytest.fixture
def loading():
    return Loading()


@pytest.fixture
def models(loading):
    return RegionModels(loading, lambda name: Means(), blob_regions)


def test_all_who_ask_for_a_detector_get_the_one_that_is_loaded(models, loading):
    loading.may_go.clear()
    with ThreadPoolExecutor(8) as callers:
        asked = [callers.submit(models.get, key) for key in (ROI, FEW, CROP) * 2]
        assert models.find(ROI) is None
        loading.may_go.set()
        assert len({id(regions.result(LIMIT_S).detector) for regions in asked}) == 1
    assert loading.loaded == ["blobs"]
    assert models.get(FEW).settings.max_regions == 1
    assert models.find(ROI) is models.get(ROI)


def test_what_is_loaded_is_kept_while_its_digest_stays(models):
    assert models.begin(CROP).result(LIMIT_S) is models.begin(CROP).result(LIMIT_S)


def test_crops_are_told_apart_by_the_model_that_embeds_them(models):
    assert models.get(CROP).model is not None
    assert models.get(ROI).model is None
    assert models.find(RegionKey(CROP.settings, "another")) is None
    assert models.find(RegionKey(ROI.settings, "another")) is models.get(ROI)


def test_a_detector_that_could_not_be_loaded_is_tried_again(models, loading):
    loading.trouble = WeightsUnavailable("no file")
    for _ in range(2):
        with pytest.raises(WeightsUnavailable):
            models.get(ROI)
    loading.trouble = None
    assert models.get(ROI).name == "blobs"
    assert len(loading.loaded) == 3


def test_regions_of_another_digest_are_refused(models):
    assert models.get(ROI, Blobs().digest) is models.find(ROI, Blobs().digest)
    assert models.find(ROI, "ee" * 32) is None
    with pytest.raises(DigestMismatch, match="regions by blobs"):
        models.get(ROI, "ee" * 32)
