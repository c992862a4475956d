"""Whatever moves a vector changes the digest, and nothing else does."""

import hashlib
from pathlib import Path

import pytest

from pixvec.vision import digest
from pixvec.vision.digest import derived_digest, file_sha256, model_digest
from pixvec.vision.preprocess import Fit, Preprocess

AS_IT_IS = {
    "name": "a-model",
    "version": 1,
    "weights_sha256": "ab" * 32,
    "preprocess": Preprocess(232, 224),
    "post_processing": "global average pool, L2",
}


def test_it_is_64_hexadecimal_digits_and_always_the_same() -> None:
    # Stored: a space made by one release must be the same space to the next.
    assert model_digest(**AS_IT_IS) == "4872cb33863edfaece65d753ddd56850b5ed7ae77d43ed19f5cf40838a49beec"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another-model"},
        {"version": 2},
        {"weights_sha256": "ac" * 32},
        {"weights_sha256": ""},
        {"preprocess": Preprocess(256, 224)},
        {"preprocess": Preprocess(232, 232)},
        {"preprocess": Preprocess(232, 232, Fit.SQUASH)},
        {"post_processing": "global average pool, PCA 128, L2"},
    ],
    ids=str,
)
def test_a_change_of_any_part_changes_it(change: dict[str, object]) -> None:
    assert model_digest(**{**AS_IT_IS, **change}) != model_digest(**AS_IT_IS)


def test_a_change_of_decoding_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = model_digest(**AS_IT_IS)
    monkeypatch.setattr(digest, "DECODE_VERSION", digest.DECODE_VERSION + 1)
    assert model_digest(**AS_IT_IS) != before


def test_equal_values_from_different_places_have_equal_digests() -> None:
    again = Preprocess.from_json(AS_IT_IS["preprocess"].to_json())
    assert model_digest(**{**AS_IT_IS, "preprocess": again}) == model_digest(**AS_IT_IS)


def test_what_is_done_with_the_vectors_and_in_which_order_changes_it() -> None:
    base = model_digest(**AS_IT_IS)
    digests = [
        base,
        *(derived_digest(base, steps) for steps in ([], ["flip"], ["flip", "crops"], ["crops", "flip"])),
        derived_digest("ab" * 32, ["flip"]),
    ]
    assert len(set(digests)) == len(digests)
    # Stored, as above.
    assert derived_digest("ab" * 32, ["flip"]) == "e041e875e21a631038394852b2f41533e09ef63520052e15cd8226976667bf6e"


def test_the_hash_of_a_file_is_of_its_bytes_not_its_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    for name in ("one.pth", "other.safetensors"):
        (tmp_path / name).write_bytes(content)
        assert file_sha256(tmp_path / name) == hashlib.sha256(content).hexdigest()
