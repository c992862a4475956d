"""Classes are the mean of their texts; probabilities follow from the model's own scale."""

import numpy as np
import pytest

from pixvec.errors import InvalidRequest
from pixvec.vision.zero_shot import TEMPLATES, class_means, class_probabilities, class_texts


def test_a_class_is_the_mean_of_its_texts() -> None:
    assert class_texts(["cat", " dog "], ["a {}", "many {}"]) == ["a cat", "many cat", "a dog", "many dog"]
    half = 0.5**0.5
    vectors = class_means(np.array([[1, 0, 0], [half, 0, half], [0, 1, 0], [0, half, half]], np.float32), 2)
    mean = np.array([1 + half, 0, half]) / 2
    assert vectors.dtype == np.float32
    assert vectors[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert vectors[1, [1, 0, 2]] == pytest.approx(vectors[0], abs=1e-6)


def test_braces_in_a_class_are_text() -> None:
    assert class_texts(["cat {0} %s"], ["a {}"]) == ["a cat {0} %s"]


def test_the_templates_there_are_have_one_place_each() -> None:
    assert len(class_texts(["cat"], TEMPLATES)) == len(TEMPLATES)


@pytest.mark.parametrize(
    ("classes", "templates", "field"),
    [
        ([], ["a {}"], "classes"),
        (["cat", " "], ["a {}"], "classes"),
        (["cat"], [], "templates"),
        (["cat"], ["a {}", "a cat"], "templates"),
        (["cat"], ["{} and {}"], "templates"),
    ],
)
def test_what_makes_no_classes_is_said(classes: list[str], templates: list[str], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        class_texts(classes, templates)
    assert caught.value.field == field


PICTURES = np.array([[1, 0], [0.6, 0.8]], np.float32)
CLASSES = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    found = class_probabilities(PICTURES, CLASSES, logit_scale=10)
    logits = 10 * PICTURES @ CLASSES.T
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (found.shape, found.dtype) == ((2, 3), np.float32)
    assert found == pytest.approx(truth, abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_with_a_bias_each_class_stands_for_itself() -> None:
    found = class_probabilities(PICTURES, CLASSES, logit_scale=10, logit_bias=-5)
    assert found == pytest.approx(1 / (1 + np.exp(-(10 * PICTURES @ CLASSES.T - 5))), abs=1e-6)
    assert found[0].sum() != pytest.approx(1)


@pytest.mark.parametrize("bias", [None, -10.0])
def test_scales_as_they_are_learned_do_not_overflow(bias: float | None) -> None:
    found = class_probabilities(PICTURES, CLASSES, logit_scale=5000, logit_bias=bias)
    assert np.isfinite(found).all()
    assert found[1, 2] == pytest.approx(1)


def test_no_pictures_have_no_probabilities() -> None:
    assert class_probabilities(np.zeros((0, 2), np.float32), CLASSES, logit_scale=1).shape == (0, 3)
