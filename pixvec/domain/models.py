"""Models, and those that are fitted on a collection."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum


class ModelKind(StrEnum):
    """What a model is, in one word."""

    NETWORK = "network"
    CROSS_MODAL = "cross-modal"
    HANDCRAFTED = "handcrafted"
    DETECTOR = "detector"
    FITTED = "fitted"


class FittedKind(StrEnum):
    """What is fitted on a sample of a collection: the value is what a model's text calls it."""

    SIFT_BOW = "sift-bow"
    SIFT_VLAD = "sift-vlad"
    PCA = "pca"
    PCA_WHITENED = "pcaw"

    @property
    def is_codebook(self) -> bool:
        """Whether it is a codebook, which is a model by itself; a PCA is a step after another."""
        return self in (FittedKind.SIFT_BOW, FittedKind.SIFT_VLAD)

    def model(self, name: str, base_model: str = "") -> str:
        """Return the text of the model that a fitted file of this name makes, `base_model` with a PCA after it."""
        return f"{self}:{name}" if self.is_codebook else f"{base_model}+{self}:{name}"


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What a job is to fit. `size`: visual words, or dimensions that a PCA keeps; `sample_size`: pictures at most;
    `base_model`: whose vectors a PCA is fitted on, empty for a codebook."""

    name: str
    kind: FittedKind
    size: int
    sample_size: int
    base_model: str = ""

    @property
    def model(self) -> str:
        """The text of the model that comes of it."""
        return self.kind.model(self.name, self.base_model)


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted file in the blob store, under a name. `digest`: of the model that it makes, `content_hash`: of the file,
    64 hexadecimal digits each; `dim`: of that model's vectors. `collection`: empty for one that no job made."""

    name: str
    kind: FittedKind
    base_model: str
    dim: int
    digest: str
    content_hash: str
    size_bytes: int
    collection: str
    created_at: dt.datetime

    @property
    def model(self) -> str:
        """The text of the model that it makes."""
        return self.kind.model(self.name, self.base_model)


@dataclass(frozen=True, slots=True)
class Model:
    """What there is to know of a model without loading it. `dim`, `parameters` and `size_bytes` (of the weights) are 0
    where there are none, or only loading tells. A name that ends in `NAME` stands for its family. `available`: usable
    now without fetching anything from outside; `detail`: where the weights are, or what would have to be done."""

    name: str
    kind: ModelKind
    dim: int
    description: str
    parameters: int = 0
    size_bytes: int = 0
    source: str = ""
    licence: str = ""
    available: bool = True
    detail: str = ""
    takes_text: bool = False
    fitted: FittedModel | None = None
