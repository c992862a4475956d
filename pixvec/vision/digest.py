"""The identity of what makes a vector: two spaces can be compared only if their digests are equal."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pixvec.vision.decode import DECODE_VERSION
from pixvec.vision.preprocess import AnyPreprocess


def model_digest(name: str, version: int, weights_sha256: str, preprocess: AnyPreprocess, post_processing: str) -> str:
    """Return 64 hexadecimal digits over everything that moves a vector. `weights_sha256` is empty without weights."""
    identity = {
        "extractor": name,
        "version": version,
        "weights": weights_sha256,
        "preprocess": json.loads(preprocess.to_json()),
        "decode": DECODE_VERSION,
        "post_processing": post_processing,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def derived_digest(base_digest: str, steps: Sequence[str]) -> str:
    """Return 64 hexadecimal digits over another model's digest and what is done with its vectors, in this order."""
    identity = {"base": base_digest, "steps": list(steps)}
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
