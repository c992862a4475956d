"""Models named together with a name of their own, and what is said of them. Imports no model library."""

import dataclasses
import importlib.util
import sys
from functools import partial
from pathlib import Path

from pixvec.domain import ModelKind
from pixvec.errors import InvalidRequest
from pixvec.vision.extractor import Extractor
from pixvec.vision.fitted_file import shape_of
from pixvec.vision.model_files import declared, weight_file
from pixvec.vision.model_name import ModelName
from pixvec.vision.registry import ModelInfo
from pixvec.vision.weights import WeightSource

_SIFT = {
    "sift-bow": "SIFT as a bag of visual words: finds copies, crops and details; needs a codebook of the collection",
    "sift-vlad": "SIFT as VLAD: finds copies, crops and details; needs a codebook of the collection",
}


class SiftFamily:
    """`sift-bow:FILE` and `sift-vlad:FILE`, FILE being a fitted codebook."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def load(self, name: ModelName, weights: WeightSource) -> Extractor:
        """Return the extractor. Raises InvalidRequest or WeightsUnavailable, as a registry.Family does."""
        if name.pooling is not None:
            raise InvalidRequest(f"{name.base} has no pooling to choose: leave +{name.pooling} out", field="model")
        file = weight_file(name.base, name.family[1], weights)
        from pixvec.vision.sift import SiftVlad, SiftWords

        return (SiftWords if self._kind == "sift-bow" else SiftVlad)(name.base, file)

    def describe(self, weights: WeightSource) -> list[ModelInfo]:
        """Return the codebooks that were named, and the family."""
        remedy = f"fit a codebook with `pixvec train`, or start with `pixvec up --weights {self._kind}:NAME=FILE`"
        infos = listed(
            self._kind,
            weights,
            _SIFT[self._kind],
            "OpenCV",
            "Apache-2.0",
            remedy,
            needs="cv2",
            kind=ModelKind.HANDCRAFTED,
        )
        return [dataclasses.replace(info, dim=self._dim(weights.files.get(info.name))) for info in infos]

    def _dim(self, path: Path | None) -> int:
        shape = shape_of(path, "centroids") if path else ()
        if len(shape) != 2:
            return 0
        return shape[0] if self._kind == "sift-bow" else shape[0] * shape[1]


class TimmFamily:
    """`timm:NAME`: any network of timm, from its hub or from a file."""

    def load(self, name: ModelName, weights: WeightSource) -> Extractor:
        """Return the extractor. Raises ModelNotFound, InvalidRequest or WeightsUnavailable, as a registry.Family."""
        from pixvec.vision import timm_backbone

        return timm_backbone.load(name, weights)

    def describe(self, weights: WeightSource) -> list[ModelInfo]:
        """Return the networks whose files were named, and the family."""
        remedy = "any network of timm by its name; downloaded from its hub, or --weights timm:NAME=FILE"
        return listed("timm", weights, "A network of timm, pooled as it asks", "timm", "the model's own", remedy)


class CheckpointFamily:
    """`checkpoint:ARCHITECTURE[/LABEL]`: a self-supervised backbone from a file; LABEL tells files apart."""

    def load(self, name: ModelName, weights: WeightSource) -> Extractor:
        """Return the extractor. Raises ModelNotFound, InvalidRequest or WeightsUnavailable, as a registry.Family."""
        from pixvec.vision import checkpoint_backbone

        return checkpoint_backbone.load(name, weights)

    def describe(self, weights: WeightSource) -> list[ModelInfo]:
        """Return the checkpoints that were named, and the family."""
        description = "A backbone from a checkpoint of MoCo, SimCLR, BYOL, DINO, MAE or a VAE"
        remedy = "start with `pixvec up --weights checkpoint:ARCHITECTURE/LABEL=FILE`, as checkpoint:resnet50/moco=FILE"
        return listed("checkpoint", weights, description, "a file", "the file's own", remedy, needs="torch")


class OpenClipFamily:
    """`open_clip:NAME/TAG` and `open_clip:local-dir:PATH`: pictures and texts in one space."""

    def load(self, name: ModelName, weights: WeightSource) -> Extractor:
        """Return the extractor, a TextExtractor. Raises as a registry.Family does."""
        if name.pooling is not None:
            raise InvalidRequest(f"{name.base} has no pooling to choose: leave +{name.pooling} out", field="model")
        from pixvec.vision import clip_loading

        return clip_loading.load(name.base, weights)

    def describe(self, weights: WeightSource) -> list[ModelInfo]:
        """Return the models whose files were named, and the family."""
        description = "Picture and text towers of open_clip in one space: search by text, zero-shot classes"
        remedy = (
            "open_clip:NAME/TAG from its hub, or a folder with open_clip_config.json: "
            "--weights open_clip:local-dir:NAME=FOLDER"
        )
        kind = ModelKind.CROSS_MODAL
        return listed("open_clip", weights, description, "open_clip", "the model's own", remedy, kind=kind)


def listed(
    family: str,
    weights: WeightSource,
    description: str,
    source: str,
    licence: str,
    remedy: str,
    *,
    needs: str = "",
    kind: ModelKind = ModelKind.NETWORK,
) -> list[ModelInfo]:
    """Return the models of a family that files were named for, and the family as one entry; `needs`: the package."""
    package = needs or family
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        remedy = f"the package {package} is not installed: pip install 'pixvec[worker]'"
    facts = partial(ModelInfo, source=source, licence=licence, kind=kind, takes_text=kind is ModelKind.CROSS_MODAL)
    named = [
        facts(name, 0, description, path.exists(), _whereabouts(path), size_bytes=_size(path))
        for name, path in declared(family, weights).items()
    ]
    return [*named, facts(f"{family}:NAME", 0, description, False, remedy)]


def _whereabouts(path: Path) -> str:
    return f"weights: {path}" if path.exists() else f"{path} is not there; name a file that is"


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.iterdir() if each.is_file())
    return path.stat().st_size if path.exists() else 0
