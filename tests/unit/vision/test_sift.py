"""SIFT as one vector a picture: words that were fitted on the collection, and crops that are found by them."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pixvec.errors import FailedPrecondition, InvalidRequest, WeightsUnavailable
from pixvec.vision import fitted_file
from pixvec.vision.codebook import Codebook, fit_codebook, load_codebook, save_codebook
from pixvec.vision.extractor import Extractor
from pixvec.vision.local_features import DIM, RootSift
from pixvec.vision.registry import describe, load
from pixvec.vision.sift import PREPROCESS, fit_sift_codebook, vlad
from pixvec.vision.weights import WeightSource, checked
from tests.scenes import crop_of, scenes

WORDS = 32
COUNT = 60


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack([PREPROCESS.apply(scene.picture) for scene in scenes(range(COUNT), (320, 240))])


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    parts = [crop_of(scene, seed) for seed, scene in enumerate(scenes(range(COUNT), (320, 240)))]
    return np.stack([PREPROCESS.apply(part) for part in parts])


@pytest.fixture(scope="module")
def source(pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> WeightSource:
    folder = tmp_path_factory.mktemp("books")
    few = save_codebook(fit_sift_codebook(pictures[:40], WORDS), folder, "few")
    many = save_codebook(fit_sift_codebook(pictures, 128), folder, "many")
    return WeightSource({"sift-vlad:few": few, "sift-bow:few": few, "sift-bow:many": many})


@pytest.fixture(scope="module")
def vlads(source: WeightSource) -> Extractor:
    return load("sift-vlad:few", source)


def recall(model: Extractor, pictures: np.ndarray, crops: np.ndarray, at: int) -> float:
    ranks = (model.embed(crops) @ model.embed(pictures).T).argsort(axis=1)[:, ::-1]
    return float((ranks[:, :at] == np.arange(len(crops))[:, np.newaxis]).any(axis=1).mean())


def test_vlad_finds_what_a_crop_was_cut_from(vlads: Extractor, pictures: np.ndarray, crops: np.ndarray) -> None:
    assert recall(vlads, pictures, crops, at=5) >= 0.9


def test_a_bag_of_words_finds_most_of_them(source: WeightSource, pictures: np.ndarray, crops: np.ndarray) -> None:
    assert recall(load("sift-bow:many", source), pictures[:30], crops[:30], at=5) >= 0.6


@pytest.mark.parametrize(("name", "dim"), [("sift-vlad:few", WORDS * DIM), ("sift-bow:few", WORDS)])
def test_vectors_are_the_pictures_own(source: WeightSource, pictures: np.ndarray, name: str, dim: int) -> None:
    model = load(name, source)
    together = model.embed(pictures[:3])
    assert (together.shape, together.dtype, model.dim) == ((3, dim), np.float32, dim)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(together[1:2], model.embed(pictures[1:2]))
    assert model.embed(pictures[:0]).shape == (0, dim)
    assert {info.name: info.dim for info in describe(source)}[name] == dim


@pytest.mark.parametrize("name", ["sift-vlad:few", "sift-bow:few"])
def test_a_picture_without_any_keypoint_still_has_a_vector(source: WeightSource, name: str) -> None:
    flat = np.full((2, 480, 480, 3), 128, np.uint8)
    vectors = load(name, source).embed(flat)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(vectors[0], vectors[1])


def test_the_digest_is_of_the_codebook_and_of_the_kind(source: WeightSource, tmp_path: Path) -> None:
    digests = [load(name, source).digest for name in ("sift-vlad:few", "sift-bow:few", "sift-bow:many")]
    assert len(set(digests)) == 3
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(source.files["sift-vlad:few"].read_bytes())
    assert load("sift-vlad:other", WeightSource({"sift-vlad:other": moved})).digest == digests[0]


def test_descriptors_are_roots_of_length_one(pictures: np.ndarray) -> None:
    found = RootSift(50).describe(pictures[0])
    assert found.shape[1] == DIM
    assert 10 < len(found) <= 60
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert found.min() >= 0


def test_the_border_of_a_square_has_no_keypoints() -> None:
    inner = np.kron(np.random.default_rng(0).integers(0, 256, (12, 20, 1)), np.ones((10, 10, 3))).astype(np.uint8)
    padded = np.zeros((200, 200, 3), np.uint8)
    padded[40:160] = inner
    flat = np.zeros((200, 200, 3), np.uint8)
    flat[40:160] = 128
    assert len(RootSift(500).describe(padded)) > 50
    assert len(RootSift(500).describe(flat)) == 0


def test_vlad_sums_what_differs_from_each_word() -> None:
    codebook = Codebook(np.array([[0, 0], [10, 0]], np.float32), np.ones(2, np.float32))
    found = vlad(np.array([[1, 0], [0, 1], [10, 3]], np.float32), codebook)
    assert found == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 1]]))
    alone = vlad(np.array([[1, 0]], np.float32), codebook)
    assert alone[1].tolist() == [0, 0]


@pytest.fixture
def clusters() -> list[np.ndarray]:
    """Three pictures' descriptors, around four far corners."""
    rng = np.random.default_rng(1)
    corners = np.array([[0, 0], [0, 9], [9, 0], [9, 9]], np.float32)
    shown = ([0, 1], [0, 2], [0, 3])
    return [(corners[picks].repeat(100, axis=0) + rng.normal(0, 0.1, (200, 2))).astype(np.float32) for picks in shown]


def test_words_are_where_the_descriptors_are(clusters: list[np.ndarray]) -> None:
    codebook = fit_codebook(clusters, 4)
    corners = sorted(np.round(codebook.centroids).tolist())
    assert corners == [[0, 0], [0, 9], [9, 0], [9, 9]]
    words = codebook.assign(np.array([[0.1, 0], [9, 8]], np.float32))
    assert np.round(codebook.centroids[words]).tolist() == [[0, 0], [9, 9]]
    # All three pictures show the first corner, one each of the others.
    everywhere = int(words[0])
    assert codebook.idf.argmin() == everywhere
    assert np.delete(codebook.idf, everywhere) == pytest.approx(codebook.idf.max())
    assert codebook.idf.min() > 0


def test_words_are_assigned_without_a_table_of_all_descriptors_and_words() -> None:
    rng = np.random.default_rng(3)
    codebook = Codebook(rng.random((256, 2), np.float32), np.ones(256, np.float32))
    descriptors = rng.random((40_000, 2), np.float32)
    tracemalloc.start()
    words = codebook.assign(descriptors)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < descriptors.shape[0] * codebook.words
    some = descriptors[::997]
    distances = np.linalg.norm(some[:, np.newaxis] - codebook.centroids, axis=2)
    assert distances[np.arange(len(some)), words[::997]] == pytest.approx(distances.min(axis=1), abs=1e-6)


def test_the_same_pictures_give_the_same_file(clusters: list[np.ndarray], tmp_path: Path) -> None:
    one, other = (save_codebook(fit_codebook(iter(clusters), 4), tmp_path, name) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert one.stem.partition("-")[2] == other.stem.partition("-")[2]
    again = load_codebook(checked(one), 2)
    assert np.array_equal(again.centroids, fit_codebook(clusters, 4).centroids)


def test_more_descriptors_than_are_needed_are_sampled_evenly() -> None:
    many = (np.full((5000, 2), number, np.float32) + np.eye(2, dtype=np.float32)[[0, 1] * 2500] for number in (0, 50))
    codebook = fit_codebook(many, 2)
    assert sorted((codebook.centroids > 25).any(axis=1).tolist()) == [False, True]


@pytest.mark.parametrize(
    ("pictures", "words", "error", "why"),
    [
        ([], 4, FailedPrecondition, "cannot be fitted on an empty collection: ingest pictures first"),
        (
            [np.zeros((0, 2), np.float32)],
            4,
            FailedPrecondition,
            "1 pictures gave 0 local descriptors, 4 words take 156",
        ),
        ([np.ones((155, 2), np.float32)], 4, FailedPrecondition, "or ask for 3 words"),
        ([np.ones((200, 2), np.float32)], 1, InvalidRequest, "at least 2 words, not 1"),
    ],
)
def test_what_no_codebook_can_be_fitted_on_is_said(
    pictures: list[np.ndarray], words: int, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        fit_codebook(pictures, words)


def test_a_codebook_of_no_pictures_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="empty collection"):
        fit_sift_codebook([], 8)


GOOD = {"centroids": np.ones((4, DIM), np.float32), "idf": np.ones(4, np.float32)}


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("pca-1", {}, "holds pca-1, not a fitted codebook-1"),
        ("codebook-1", {"idf": None}, "idf is missing"),
        ("codebook-1", {"idf": np.ones(3, np.float32)}, "is a codebook of 4 x 128 with 3 weights"),
        ("codebook-1", {"centroids": np.ones((4, 2), np.float32)}, "is a codebook of 4 x 2 with 4 weights"),
        ("codebook-1", {"centroids": np.ones(DIM, np.float32)}, "centroids is float32 of 128, not float32 of 2 axes"),
        ("codebook-1", {"idf": np.array([1, 1, np.nan, 1])}, "idf has values that are not finite"),
    ],
)
def test_a_file_that_is_no_codebook_is_refused(
    tmp_path: Path, kind: str, change: dict[str, np.ndarray | None], why: str
) -> None:
    arrays = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    file = fitted_file.write(tmp_path, "book", kind, arrays)
    with pytest.raises(WeightsUnavailable, match=why):
        load("sift-vlad:book", WeightSource({"sift-vlad:book": file}))


def test_a_file_that_is_no_codebook_is_listed_without_a_size(tmp_path: Path) -> None:
    file = fitted_file.write(tmp_path, "book", "codebook-1", {**GOOD, "centroids": np.ones(DIM, np.float32)})
    described = {info.name: info.dim for info in describe(WeightSource({"sift-vlad:book": file}))}
    assert described["sift-vlad:book"] == 0


@pytest.mark.parametrize("content", [b"", b"text", b"\x02\0\0\0\0\0\0\0[]", bytes(100)])
def test_bytes_that_are_no_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "book.safetensors"
    file.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match=r"cannot be read as safetensors|holds something else"):
        load("sift-vlad:book", WeightSource({"sift-vlad:book": file}))


def test_a_codebook_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = fitted_file.write(tmp_path, "book", "codebook-1", GOOD)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="is damaged or was changed"):
        load("sift-vlad:book", WeightSource({"sift-vlad:book": file}))


def test_a_codebook_that_was_not_fitted_yet() -> None:
    with pytest.raises(WeightsUnavailable, match=r"no file for sift-vlad:cars: start with .*--weights sift-vlad:cars"):
        load("sift-vlad:cars", WeightSource())
    with pytest.raises(InvalidRequest, match=r"has no pooling to choose: leave \+gem out"):
        load("sift-vlad:cars+gem", WeightSource())
