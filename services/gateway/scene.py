"""What a query for a whole scene asks and what it is answered, in plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pixvec.domain import Attributes, Consistency, Hit, Region, SearchOptions, SeqToken
from pixvec.rpc.shard_search import RowScores
from services.gateway.query import Timings


@dataclass(frozen=True, slots=True)
class SceneQuery:
    """Asks for each object of a picture: `image` (bytes) or `image_id`, of which exactly one is set. `max_objects`:
    those of the best detector score."""

    collection: str
    image: bytes = b""
    image_id: str = ""
    max_objects: int = 10
    limit: int = 10
    min_score: float | None = None
    options: SearchOptions = field(default_factory=SearchOptions)
    consistency: Consistency = Consistency.EVENTUAL
    token: SeqToken = field(default_factory=SeqToken)
    attributes: bool = False
    regions: bool = False
    masks: bool = False


@dataclass(frozen=True, slots=True)
class SceneObjects:
    """The objects of a query picture that are searched for, the best detector score first, with one packed vector each.

    `found`: how many there are in all. `regions_known`: whether it could be read where those of an image are; otherwise
    they have no more than their numbers. `width` and `height`: pixels of the upright picture, 0 where they are not
    known.
    """

    regions: tuple[Region, ...] = ()
    vectors: tuple[bytes, ...] = ()
    found: int = 0
    regions_known: bool = True
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class SceneHit:
    """A picture that holds all objects: `score` is the mean of `objects`, one an object, each of the region of the
    picture that is most like it."""

    image_id: str
    score: float
    objects: RowScores


@dataclass(frozen=True, slots=True)
class SceneAnswer:
    """The hits of each object, in order, and pictures that hold all of them, all best first. `attributes` and
    `regions`, by image id and ordinal, are None unless asked for, or where they could not be read."""

    image_id: str
    objects: SceneObjects
    hits: list[list[Hit]]
    pictures: list[SceneHit]
    space: str
    shards_total: int
    shards_answered: int
    timings: Timings
    attributes: Mapping[str, Attributes] | None = None
    attributes_missing: bool = False
    regions: Mapping[tuple[str, int], Region] | None = None
    regions_missing: bool = False
