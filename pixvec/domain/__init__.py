"""The values that every part of pixvec speaks in. All are immutable; none knows a library."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TypeAlias

AttributeValue: TypeAlias = "bool | int | float | str | Sequence[AttributeValue]"
Attributes: TypeAlias = Mapping[str, AttributeValue]
# A collection's id and the number of one of its shards.
ShardKey: TypeAlias = tuple[int, int]

# By which pictures are told from other files when a folder or a prefix is listed.
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif")
)


class Metric(StrEnum):
    """How two vectors are compared. Scores are larger-is-better for every metric."""

    COSINE = "cosine"
    INNER_PRODUCT = "inner_product"
    EUCLIDEAN = "euclidean"


class Consistency(StrEnum):
    """What an answer has to have seen."""

    EVENTUAL = "eventual"
    SESSION = "session"


class IndexKind(StrEnum):
    """How the sealed segments of a space are searched. Growing segments are always exact."""

    # By number of vectors and memory.
    AUTO = "auto"
    # Every stored vector is compared.
    FLAT = "flat"
    # Every vector is compared by its 8-bit codes.
    FLAT_INT8 = "flat_int8"
    # Every vector is compared by one bit a dimension (RaBitQ).
    FLAT_BINARY = "flat_binary"
    # A navigable small-world graph over 8-bit codes.
    HNSW = "hnsw"
    # Inverted lists of 8-bit codes.
    IVF_SQ8 = "ivf_sq8"
    # Inverted lists of 4-bit product codes, scanned in registers.
    IVF_PQ = "ivf_pq"
    # Inverted lists of one bit a dimension.
    IVF_RABITQ = "ivf_rabitq"


class VectorStorage(StrEnum):
    """How the vectors themselves are kept: what exact search and rescoring compare."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The index of one space. Zero stands for the default of the kind: see docs/adr/0012.

    `hnsw_m`: links a vector; `ef_construction`: candidates while building; `nlist`: inverted lists a segment.
    """

    kind: IndexKind = IndexKind.AUTO
    storage: VectorStorage = VectorStorage.FLOAT16
    hnsw_m: int = 0
    ef_construction: int = 0
    nlist: int = 0


@dataclass(frozen=True, slots=True)
class IndexStanding:
    """How the index of one shard stands. Rows are vectors, the deleted ones included; `kinds` are those of its sealed
    segments, each once; `build_error` says why the last build failed."""

    segment_count: int = 0
    kinds: tuple[IndexKind, ...] = ()
    growing_rows: int = 0
    sealed_rows: int = 0
    writes_pushed_back: bool = False
    build_error: str = ""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How hard to search. `exact` compares every stored vector. Zero stands for the default: `ef` of HNSW, `nprobe` of
    inverted lists; `rescore`: how many times `limit` candidates are compared again by their stored vectors, -1 none."""

    exact: bool = False
    ef: int = 0
    nprobe: int = 0
    rescore: float = 0.0


class SpaceKind(StrEnum):
    """What the vectors of a space stand for."""

    # One vector a picture.
    IMAGE = "image"
    # One vector for each object that a detector found, so any number a picture.
    REGION = "region"


class RegionEmbedding(StrEnum):
    """What the vector of a region is made of."""

    # What the detector's box head made of the region.
    ROI = "roi"
    # What the collection's image model makes of the picture cut to the region.
    CROP = "crop"


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """Which objects of a picture are found, and how they become vectors. `min_area_share`: the least share of the
    picture's area that a region covers; `background_out`: what its mask leaves out is left out of its vector too."""

    detector: str
    embedding: RegionEmbedding = RegionEmbedding.ROI
    class_agnostic: bool = False
    min_score: float = 0.5
    max_regions: int = 20
    min_area_share: float = 0.0
    background_out: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    """One kind of vector that every image of a collection carries. `digest` is 64 hexadecimal digits; `regions` says
    where the rows of a space of regions come from, `takes_text` whether texts have a place in it."""

    name: str
    model: str
    dim: int
    metric: Metric
    digest: str
    index: IndexSettings = field(default_factory=IndexSettings)
    regions: RegionSettings | None = None
    takes_text: bool = False

    @property
    def kind(self) -> SpaceKind:
        """What its vectors stand for."""
        return SpaceKind.IMAGE if self.regions is None else SpaceKind.REGION


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of images with its spaces. `collection_id` is never reused, a name may be."""

    collection_id: int
    name: str
    spaces: tuple[Space, ...]
    shard_count: int
    created_at: dt.datetime

    def space(self, name: str) -> Space | None:
        """Return the space of that name, the first one for an empty name, or None."""
        if not name:
            return self.spaces[0]
        return next((space for space in self.spaces if space.name == name), None)

    @property
    def text_space(self) -> Space | None:
        """The first space that texts have a place in, None where there is none."""
        return next((space for space in self.spaces if space.takes_text), None)

    @property
    def region_space(self) -> Space | None:
        """The space whose vectors stand for objects, None where none are found."""
        return next((space for space in self.spaces if space.kind is SpaceKind.REGION), None)


@dataclass(frozen=True, slots=True)
class ShardPosition:
    """A place in the ordered change feed of one shard."""

    shard: int
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class SeqToken:
    """What a write returns and a read can wait for: at most one position a shard."""

    positions: tuple[ShardPosition, ...] = ()

    def merged(self, other: "SeqToken") -> "SeqToken":
        """Return the token that covers both; where epochs differ, the other's wins, as it is the newer."""
        newest = {position.shard: position for position in self.positions}
        for position in other.positions:
            known = newest.get(position.shard)
            if known is None or known.epoch != position.epoch or known.seq < position.seq:
                newest[position.shard] = position
        return SeqToken(tuple(newest[shard] for shard in sorted(newest)))


@dataclass(frozen=True, slots=True)
class BaseSnapshot:
    """A shard as it stood at `seq`, kept in the blob store. `manifest` names the file that lists all of it.

    `epoch` is the life of the feed that goes on from it, `made_in` the one it was written in: a restore makes them
    differ. Not `verified_at`: not finished. `retired_at`: its files go in a while. `damage`: why it is not relied on.
    """

    base_id: str
    collection_id: int
    shard: int
    epoch: str
    made_in: str
    seq: int
    created_at: dt.datetime
    manifest: str = ""
    manifest_sha256: str = ""
    image_count: int = 0
    size_bytes: int = 0
    verified_at: dt.datetime | None = None
    retired_at: dt.datetime | None = None
    damage: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether every byte was read back and found right, the last time somebody looked."""
        return self.verified_at is not None and not self.damage


class IngestStage(IntEnum):
    """How far an item has come; the order is the order of the work."""

    QUEUED = 1
    DECODED = 2
    EMBEDDED = 3
    INDEXED = 4


class OnExisting(StrEnum):
    """What to do with an id that the collection already holds."""

    REPLACE = "replace"
    SKIP = "skip"
    FAIL = "fail"


class OnDuplicate(StrEnum):
    """What to do with a picture that the collection holds under another id."""

    KEEP = "keep"
    LINK = "link"
    REJECT = "reject"


class ImageState(StrEnum):
    """Whether any version of an image can be found; one that is linked is found by its original."""

    PENDING = "pending"
    INDEXED = "indexed"
    FAILED = "failed"
    LINKED = "linked"


class JobState(StrEnum):
    """The life of a job: planning, running, then one of the two ends."""

    PLANNING = "planning"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the job will change no more."""
        return self in (JobState.COMPLETED, JobState.FAILED)


class JobKind(StrEnum):
    """What a job is about."""

    INGEST = "ingest"
    TRAINING = "training"


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


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item failed: `reason` is that of an error class, `message` names the item and the remedy."""

    reason: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """What the catalogue knows of one image. `width` and `height`: pixels of the upright picture, 0 until decoded.
    `duplicate_of`: the original of one that is linked."""

    image_id: str
    state: ImageState
    content_hash: str
    size_bytes: int
    format: str
    width: int
    height: int
    attributes: Attributes
    created_at: dt.datetime
    updated_at: dt.datetime
    error: ItemError | None = None
    duplicate_of: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture: pixels of the upright picture, from the upper left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Mask:
    """Which cells of a grid over the whole upright picture belong to a region, as COCO's uncompressed run lengths: down
    column after column, the first run being of cells outside."""

    width: int
    height: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """One object found in a picture. `ordinal` counts from 0, the best score first, and is its row in the space of
    regions; `class_name` is empty where classes are left aside; `score` is the detector's, in [0, 1]."""

    ordinal: int
    box: Box
    class_name: str
    score: float
    mask: Mask | None = None


def region_id(image_id: str, ordinal: int) -> str:
    """Return the id that names one region among those of all images."""
    return f"{image_id}#{ordinal}"


def split_region_id(name: str) -> tuple[str, int] | None:
    """Return the image id and the ordinal that `region_id` made a name of, None for what is no such name."""
    image_id, _, ordinal = name.rpartition("#")
    return (image_id, int(ordinal)) if image_id and ordinal.isascii() and ordinal.isdigit() else None


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job and how its items stand. Each item is counted once, at the furthest stage it reached. The items of a
    training are the pictures of its sample, each decoded or failed in the end."""

    job_id: str
    collection: str
    state: JobState
    total: int
    queued: int
    decoded: int
    embedded: int
    indexed: int
    failed: int
    created_at: dt.datetime
    ended_at: dt.datetime | None = None
    error: ItemError | None = None
    token: SeqToken = field(default_factory=SeqToken)
    kind: JobKind = JobKind.INGEST
    training: TrainingSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobInfo):
    """A job as the catalogue knows it."""

    collection_id: int


class MatchKind(StrEnum):
    """What a found picture is to the query picture."""

    EXACT = "exact"
    NEAR_DUPLICATE = "near_duplicate"
    SIMILAR = "similar"


@dataclass(frozen=True, slots=True)
class Match:
    """Whether a found picture is a copy of the query picture. `inliers`: keypoints of both that agree; `quad`: where
    the corners of the query lie in it, x and y in pixels of the upright picture, from the query's upper left corner
    clockwise: beyond its edges where the query shows more. Both for copies only."""

    kind: MatchKind
    inliers: int = 0
    quad: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One found image. A larger score is better for every metric; `ordinal`: which of its rows was found."""

    image_id: str
    score: float
    ordinal: int = 0
