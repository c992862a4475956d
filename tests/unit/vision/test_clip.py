"""Pictures and texts of one open_clip model in one space: what the library gives, found by what it says."""

import itertools
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from pixvec.errors import InvalidRequest, ModelNotFound, NoTextTower, WeightsUnavailable
from pixvec.vision import hub
from pixvec.vision.extractor import Extractor, TextExtractor, text_tower
from pixvec.vision.pca import fit_pca, save_pca
from pixvec.vision.preprocess import Fit, Preprocess
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from pixvec.vision.zero_shot import class_means, class_probabilities, class_texts
from tests.one_thread import one_thread
from tests.scenes import COLOURS, SHAPES, TEXTURES, Scene, scenes
from tests.towers import PREPROCESS, THINGS, write_towers
from tests.unit.vision.networks import cosines, normalised, squares
from tests.unit.vision.test_state_dict import Sentinel

ALIKE = 0.999
NAME = "open_clip:local-dir:small"


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, one of them untrained."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "small").mkdir()
    write_towers(folder / "small")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> TextExtractor:
    return text_tower(load(NAME, WeightSource(folder=folder)))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A folder of models of one's own, to spoil."""
    shutil.copytree(folder, tmp_path / "models")
    return tmp_path / "models"


def test_both_towers_give_what_the_library_gives(model: TextExtractor, folder: Path) -> None:
    network = open_clip.create_model(f"local-dir:{folder / 'small'}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder / 'small'}")
    texts, pixels = ["a red circle", "", "word " * 100], squares(model.preprocess, 3)
    with torch.inference_mode():
        seen = network.encode_image(normalised(pixels, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
        read = network.encode_text(tokenizer(texts))
    assert cosines(model.embed(pixels), seen).min() > ALIKE
    assert cosines(model.embed_texts(texts), read).min() > ALIKE
    assert model.logit_scale == pytest.approx(float(network.logit_scale.detach().exp()))
    assert model.logit_bias is None


def test_vectors_of_both_kinds_have_one_length_and_norm_one(model: TextExtractor) -> None:
    for vectors in (model.embed(squares(model.preprocess)), model.embed_texts(["a", "b"])):
        assert (vectors.shape, vectors.dtype) == ((2, model.dim), np.float32)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert model.embed(np.zeros((0, 56, 56, 3), np.uint8)).shape == model.embed_texts([]).shape == (0, 128)


def test_many_texts_give_each_what_it_gets_alone(model: TextExtractor) -> None:
    texts = [f"a picture of {number}" for number in range(300)]
    together = model.embed_texts(texts)
    assert (together[[0, 255, 256, 299]] * model.embed_texts([texts[i] for i in (0, 255, 256, 299)])).sum(
        axis=1
    ).min() > ALIKE


def test_pictures_are_taken_as_the_models_configuration_says(model: TextExtractor, copy: Path) -> None:
    assert model.preprocess == PREPROCESS == Preprocess(56, 56, Fit.SQUASH)
    for mode, fit in (("shortest", Fit.CROP), ("longest", Fit.PAD)):
        reconfigure(copy, preprocess_cfg={"resize_mode": mode, "interpolation": "bicubic"})
        taken = load(NAME, WeightSource(folder=copy))
        assert (taken.preprocess.fit, taken.preprocess.interpolation) == (fit, "bicubic")
        assert taken.digest != model.digest


def test_the_digest_is_of_the_weights_and_the_configuration_not_of_the_place(model: TextExtractor, copy: Path) -> None:
    named = WeightSource({"open_clip:local-dir:elsewhere": copy / "small"})
    assert load("open_clip:local-dir:elsewhere", named).digest == model.digest
    reconfigure(copy, preprocess_cfg={"mean": [0.4, 0.5, 0.5]})
    assert load(NAME, WeightSource(folder=copy)).digest != model.digest
    write_towers(copy / "small", seed=1)
    assert load(NAME, WeightSource(folder=copy)).digest != model.digest


def reconfigure(copy: Path, **changes: dict[str, object]) -> None:
    file = copy / "small" / "open_clip_config.json"
    config = json.loads(file.read_text())
    for part, values in changes.items():
        config[part].update(values)
    file.write_text(json.dumps(config))


def test_weights_that_do_not_fit_are_named(copy: Path) -> None:
    reconfigure(copy, model_cfg={"embed_dim": 64})
    with pytest.raises(WeightsUnavailable, match=r"make no model of open_clip \(.*size mismatch for .*projection"):
        load(NAME, WeightSource(folder=copy))


@pytest.mark.parametrize("config", ["", "{}", '{"model_cfg": {}}', '{"model_cfg": {"embed_dim": "x"}}'])
def test_a_configuration_that_is_none(copy: Path, config: str) -> None:
    (copy / "small" / "open_clip_config.json").write_text(config)
    with pytest.raises(WeightsUnavailable, match=r"make no model of open_clip \(.+\)"):
        load(NAME, WeightSource(folder=copy))


@pytest.mark.parametrize("gone", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_a_folder_without_one_of_its_files(copy: Path, gone: str) -> None:
    (copy / "small" / gone).unlink()
    with pytest.raises(WeightsUnavailable, match=r"small must hold open_clip_config\.json and weights"):
        load(NAME, WeightSource(folder=copy))


def test_code_in_a_pickle_is_refused_and_not_run(copy: Path, tmp_path: Path) -> None:
    (copy / "small" / "open_clip_model.safetensors").unlink()
    torch.save({"a": Sentinel(tmp_path / "mark")}, copy / "small" / "open_clip_pytorch_model.bin")
    with pytest.raises(WeightsUnavailable, match="more than tensors, which could run code"):
        load(NAME, WeightSource(folder=copy))
    assert not (tmp_path / "mark").exists()


def test_the_log_does_not_say_that_loaded_weights_are_random(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(NAME, WeightSource(folder=folder))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []
    logging.getLogger().warning("initialized randomly")
    assert "initialized randomly" in caplog.text


def test_a_folder_outside_those_declared_is_not_read(folder: Path) -> None:
    for path in ("../small", str(folder / "small")):
        with pytest.raises(WeightsUnavailable, match="no file for open_clip:local-dir"):
            load(f"open_clip:local-dir:{path}", WeightSource(folder=folder / "other"))
    assert load(f"open_clip:local-dir:{folder / 'small'}", WeightSource(folder=folder)).dim == 128


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("open_clip:ViT-B-32/nothing", "its tags are .*laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32", "its tags are"),
        ("open_clip:hf-hub:who/what", "open_clip has no network of that name"),
        ("open_clip:ViT-Z-1/openai", "open_clip has no network of that name"),
    ],
)
def test_a_name_that_open_clip_has_not(name: str, why: str) -> None:
    with pytest.raises(ModelNotFound, match=why):
        load(name, WeightSource())


def test_a_published_model_comes_from_its_hub_and_without_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def offline(repository: str, file: str, *, local_files_only: bool) -> str:
        asked.append((repository, file, local_files_only))
        raise LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(hub, "hf_hub_download", offline)
    with pytest.raises(WeightsUnavailable, match="no weights for open_clip:ViT-B-32/laion2b_s34b_b79k: it is not in"):
        load("open_clip:ViT-B-32/laion2b_s34b_b79k", WeightSource(download=False))
    assert asked[0] == ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "open_clip_model.safetensors", True)


def test_a_pooling_cannot_be_chosen(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="has no pooling to choose"):
        load(f"{NAME}+gem", WeightSource(folder=folder))


def test_a_model_of_pictures_only_takes_no_text() -> None:
    model = load("hog", WeightSource())
    assert isinstance(model, Extractor)
    with pytest.raises(NoTextTower, match="hog makes vectors of pictures only: search by text in a space whose"):
        text_tower(model)


def test_texts_are_projected_into_the_pictures_space(model: TextExtractor, folder: Path, tmp_path: Path) -> None:
    pixels, texts = squares(model.preprocess, 40), ["a red ring", "a blue cross"]
    pca = fit_pca([model.embed(pixels)], 16)
    source = WeightSource({"pca:own": save_pca(pca, tmp_path, "own")}, folder=folder)
    projected = text_tower(load(f"{NAME}+flip+pca:own", source))
    assert projected.dim == 16
    assert projected.logit_scale == model.logit_scale
    found = projected.embed_texts(texts)
    assert np.allclose(found, pca.apply(model.embed_texts(texts), whiten=False), atol=1e-6)
    assert projected.embed_texts([]).shape == (0, 16)
    assert projected.digest != model.digest


@pytest.fixture(scope="module")
def trained(towers: Path) -> TextExtractor:
    return text_tower(load("open_clip:local-dir:trained", WeightSource({"open_clip:local-dir:trained": towers})))


# None of those that the model was trained on.
UNSEEN = range(1_000_000, 1_000_100)


@pytest.fixture(scope="module")
def unseen() -> list[Scene]:
    return list(scenes(UNSEEN, things=THINGS))


def test_a_trained_model_finds_scenes_by_their_captions(trained: TextExtractor, unseen: list[Scene]) -> None:
    pictures = trained.embed(np.stack([trained.preprocess.apply(scene.picture) for scene in unseen]))
    captions = trained.embed_texts([scene.caption for scene in unseen])
    ranks = (captions @ pictures.T).argsort(axis=1)[:, ::-1]
    recall = (ranks[:, :5] == np.arange(len(unseen))[:, np.newaxis]).any(axis=1).mean()
    assert recall >= 0.8


def test_a_trained_model_tells_colours_by_their_names(trained: TextExtractor) -> None:
    alone = list(scenes(range(2_000_000, 2_000_100), things=(1, 1)))
    pictures = trained.embed(np.stack([trained.preprocess.apply(scene.picture) for scene in alone]))
    corners = itertools.product(TEXTURES, SHAPES, ("top", "bottom"), ("left", "right"))
    templates = [f"a {texture} {{}} {shape} at the {y} {x}".replace("plain ", "") for texture, shape, y, x in corners]
    vectors = class_means(trained.embed_texts(class_texts(list(COLOURS), templates)), len(COLOURS))
    shares = class_probabilities(pictures, vectors, logit_scale=trained.logit_scale)
    right = shares.argmax(axis=1) == [list(COLOURS).index(scene.things[0].colour) for scene in alone]
    # One in eight by chance.
    assert right.mean() >= 0.6
    # Calibrated: the likeliest is about as often right as its probability says.
    assert shares.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.15)
