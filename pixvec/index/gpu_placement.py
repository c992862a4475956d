"""Which shards go to which device: a pure function of sizes.

For one purpose a shard lies on one device as a whole, or not at all. What searches need goes before what exact ones
alone need, what lies on a device already before what does not, the small before the large.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from pixvec.domain import ShardKey
from pixvec.index.gpu_sizes import Form, Share, default_form, share_of
from pixvec.index.kinds import list_count
from pixvec.index.sealed import SealedSegment


class Purpose(StrEnum):
    """What a shard is on a device for: every search, or those alone that ask to be exact."""

    SEARCH = "search"
    EXACT = "exact"


# The id of its collection, and its number.
NeedKey: TypeAlias = tuple[ShardKey, Purpose]


class Part(NamedTuple):
    """One segment of a need."""

    segment: SealedSegment
    form: Form
    share: Share


@dataclass(frozen=True, slots=True)
class Need:
    """What a shard takes of a device for one purpose."""

    key: NeedKey
    parts: tuple[Part, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(part.share.size_bytes for part in self.parts)

    @property
    def arithmetic(self) -> str:
        """How `size_bytes` comes about."""
        return " + ".join(part.share.arithmetic for part in self.parts)


class Refusal(NamedTuple):
    """A need that the CPU is left with: no device has more than `free_bytes` for it."""

    need: Need
    free_bytes: int


class Placement(NamedTuple):
    """The number of the device of each need that has one, and the needs that have none."""

    devices: dict[NeedKey, int]
    refusals: list[Refusal]


def needs_of(shard: ShardKey, segments: Iterable[SealedSegment], least_rows: int) -> list[Need]:
    """Return what a shard needs. Segments of fewer rows are searched by the CPU before a GPU has been asked."""
    large = [segment for segment in segments if segment.row_count >= least_rows]
    default = [(segment, form) for segment in large if (form := default_form(segment.seal.kind)) is not None]
    exact = [(segment, Form.FLAT) for segment in large if default_form(segment.seal.kind) is not Form.FLAT]
    return [
        Need((shard, purpose), tuple(Part(segment, form, _share(segment, form)) for segment, form in chosen))
        for purpose, chosen in ((Purpose.SEARCH, default), (Purpose.EXACT, exact))
        if chosen
    ]


def place(needs: Iterable[Need], rooms: Sequence[int], held: Mapping[NeedKey, int]) -> Placement:
    """Return where each need goes. `rooms`: what each device has for all of them, in bytes, what it holds already
    included; `held`: where those are that a device holds."""
    left, devices, refusals = list(rooms), dict[NeedKey, int](), list[Refusal]()
    for need in sorted(needs, key=lambda need: (need.key[1] is Purpose.EXACT, need.key not in held, need.size_bytes)):
        here = held.get(need.key)
        roomiest = max(range(len(left)), key=left.__getitem__)
        device = here if here is not None and left[here] >= need.size_bytes else roomiest
        if left[device] < need.size_bytes:
            refusals.append(Refusal(need, left[device]))
        else:
            devices[need.key] = device
            left[device] -= need.size_bytes
    return Placement(devices, refusals)


def _share(segment: SealedSegment, form: Form) -> Share:
    seal = segment.seal
    lists = list_count(seal.rows, seal.settings)
    return share_of(form, seal.rows, segment.space.dim, half=segment.is_half, lists=lists)
