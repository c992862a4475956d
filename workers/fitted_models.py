"""Files of fitted models, fetched from the blob store when a model's text first names them, and kept here."""

import dataclasses
import hashlib
import os
import tempfile
import threading
from pathlib import Path

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.trainings import ModelStore
from pixvec.domain import FittedKind, FittedModel
from pixvec.errors import ContentNotFound, ModelNotFound, WeightsUnavailable
from pixvec.telemetry.logging import get_logger
from pixvec.vision.digest import file_sha256
from pixvec.vision.extractor import Extractor
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource

log = get_logger(__name__)


def fitted_folder() -> Path:
    """Return where this user's workers keep fetched files. Others may have put something there: every file is compared
    with the hash that it was registered with, each time."""
    return Path(tempfile.gettempdir()) / f"pixvec-fitted-{os.getuid()}"


def try_out(weights: WeightSource, kind: FittedKind, name: str, base_model: str, path: Path) -> Extractor:
    """Return the model that a fitted file makes, whatever is registered under its name. Raises as `registry.load`."""
    family = kind if kind.is_codebook else FittedKind.PCA
    files = {**weights.files, f"{family}:{name}": path}
    return load(kind.model(name, base_model), dataclasses.replace(weights, files=files))


class FittedModels:
    """Keeps files in a folder of its own, each under a name that holds its whole hash. Thread-safe."""

    def __init__(self, models: ModelStore, blobs: BlobStore, folder: Path) -> None:
        self._models = models
        self._blobs = blobs
        self._folder = folder

    def find(self, name: str) -> Path | None:
        """Return the file that is registered under a name, None where none is.

        Raises WeightsUnavailable for a file that the blob store has not, or not as it was; Unavailable.
        """
        try:
            model = self._models.get(name)
        except ModelNotFound:
            return None
        path = self._folder / f"{model.name}-{model.content_hash}.safetensors"
        if not path.is_file() or file_sha256(path) != model.content_hash:
            self._fetch(model, path)
        return path

    def _fetch(self, model: FittedModel, path: Path) -> None:
        try:
            content = self._blobs.get(model.content_hash)
        except ContentNotFound as error:
            raise WeightsUnavailable(f"the blob store has no file of model {model.name!r}: fit it again") from error
        if hashlib.sha256(content).hexdigest() != model.content_hash:
            raise WeightsUnavailable(
                f"the file of model {model.name!r} is damaged in the blob store: its SHA-256 is not the one it was"
                " registered with; fit it again under another name"
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        part.write_bytes(content)
        part.replace(path)
        log.info("fitted_model_fetched", model=model.name, size_bytes=len(content))
