"""A snapshot cannot lie: whatever befalls its files, the shard that starts from it answers as one fed from the feed.

Each damage is one that a disk, a copy or an editor could do. What names the damaged file is refused, an older snapshot
that does not is taken, or none; in any case the feed makes the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions
from pixvec.index.interfaces import Change, ShardHits, SpaceSpec
from pixvec.index.manifest import MANIFEST, ShardIdentity, read_manifest
from pixvec.index.plan import BuildPolicy
from pixvec.index.shard import Shard
from pixvec.index.snapshot import load_newest, write_snapshot
from tests.unit.index.segments import EXACT, build, clustered, recall, same

SPACES = (
    SpaceSpec("image", 8, Metric.COSINE, "ab" * 32, IndexSettings(IndexKind.HNSW)),
    SpaceSpec("shape", 3, Metric.EUCLIDEAN, "cd" * 32, IndexSettings(IndexKind.FLAT)),
)
IDENTITY = ShardIdentity(7, 2, "epoch-1", SPACES)
QUERIES = clustered(4, 8, seed=9)
ROUNDS = 2400

Content = dict[Path, bytes]


def feed() -> list[Change]:
    """Pictures that come, come again and go, most of them in both spaces."""
    rows, shapes = clustered(200, 8), clustered(200, 3, seed=4)
    changes = []
    for number in range(200):
        vectors = {"image": rows[number : number + 1 + number % 2], "shape": shapes[number : number + 1]}
        if number % 5 == 0:
            del vectors["shape"]
        changes.append(Change(f"bild-ü-{number % 140}", None if number % 17 == 0 else vectors))
    return changes


FEED = feed()


@dataclass(frozen=True)
class Disk:
    """A folder with two snapshots, some segments of which both name, and what each needs."""

    folder: Path
    content: Content
    needed: dict[int, set[Path]]
    answers: dict[int, list[ShardHits]]

    def put(self, content: Content) -> None:
        """Make the files be these. A file that some shard has mapped is not written to: another takes its place."""
        for path, whole in content.items():
            path.unlink(missing_ok=True)
            path.write_bytes(whole)


def answers(shard: Shard) -> list[ShardHits]:
    found = shard.search("image", QUERIES, 9, options=EXACT)
    return found + shard.search("shape", QUERIES[:, :3].copy(), 300, options=EXACT)


def write(folder: Path) -> Disk:
    shard = Shard(SPACES, block_bytes=4 * 8 * 20)
    policy = BuildPolicy(seal_rows=1, max_segment_rows=90)
    needed, expected = {}, {}
    for begin, built, seq in ((0, True, 80), (80, False, 110), (110, True, 160), (160, False, 200)):
        shard.apply(FEED[begin:seq], seq)
        for _ in range(2 * built):
            build(shard, folder, policy)
        if not built:
            snapshot = write_snapshot(folder, shard.view, IDENTITY)
            named = read_manifest(snapshot).sealed
            needed[seq] = {*snapshot.iterdir()} | {
                folder / part.segment.name / file.name for part in named for file in part.segment.files
            }
            expected[seq] = answers(shard)
    content = {path: path.read_bytes() for path in set().union(*needed.values())}
    return Disk(folder, content, needed, expected)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return write(tmp_path_factory.mktemp("damage"))


@pytest.fixture(scope="module")
def truth() -> list[ShardHits]:
    shard = Shard(SPACES)
    shard.apply(FEED, len(FEED))
    return answers(shard)


def test_there_is_much_to_damage(disk: Disk) -> None:
    older, newest = disk.needed.values()
    names = Counter(path.name.partition("-")[0] for path in newest)
    assert names.keys() == {"manifest.json", "vectors", "ids", "dead", "vectors.faiss", "ids.bin", "index.faiss"}
    assert len(older & newest) > 3
    assert older - newest
    assert len(newest - older) > 3


# Each returns the whole content of the files that it changes.
def flip(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    changed = bytearray(disk.content[path])
    changed[random.integers(len(changed))] ^= 1 << random.integers(8)
    return {path: bytes(changed)}


def truncate(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    return {path: disk.content[path][: random.integers(len(disk.content[path]))]}


def lengthen(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    return {path: disk.content[path] + random.bytes(random.integers(1, 100))}


def edit_header(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    changed = bytearray(disk.content[path])
    begin, value = int(random.integers(min(64, len(changed)))), int(random.choice([0, 1, 2, 2**31 - 1, 2**32 - 1]))
    changed[begin : begin + 4] = value.to_bytes(4, "little")[: len(changed) - begin]
    return {path: bytes(changed)}


def blank(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    """A sector that was never written."""
    changed = bytearray(disk.content[path])
    begin = int(random.integers(len(changed))) & ~511
    changed[begin : begin + 512] = bytes(len(changed[begin : begin + 512]))
    return {path: bytes(changed)}


def move_bytes(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    content = disk.content[path]
    place = int(random.integers(len(content)))
    return {path: content[place:] + content[:place]}


def swap(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    other = list(disk.content)[random.integers(len(disk.content))]
    return {path: disk.content[other], other: disk.content[path]}


def swap_namesakes(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    """Files of one name of two snapshots or two segments, as a mistaken copy mixes them."""
    others = [other for other in disk.content if other.name == path.name and other != path]
    if not others:
        return {}
    other = others[random.integers(len(others))]
    return {path: disk.content[other], other: disk.content[path]}


def take_stale(disk: Disk, path: Path, random: np.random.Generator) -> Content:
    return dict(list(swap_namesakes(disk, path, random).items())[:1])


DAMAGES = [flip, flip, truncate, lengthen, edit_header, blank, move_bytes, swap, swap_namesakes, take_stale]


def damages(disk: Disk) -> Iterator[tuple[str, Content]]:
    random = np.random.default_rng(2026)
    files = sorted(disk.content)
    while True:
        damage: Callable[..., Content] = DAMAGES[random.integers(len(DAMAGES))]
        path = files[random.integers(len(files))]
        changed = damage(disk, path, random)
        changed = {each: content for each, content in changed.items() if content != disk.content[each]}
        if changed:
            yield damage.__name__, changed


def check(disk: Disk, damaged: set[Path], truth: list[ShardHits]) -> int:
    """Start from what is there and see that nothing damaged was believed; return the seq of the start."""
    expected = [seq for seq, needed in disk.needed.items() if not needed & damaged]
    shard = load_newest(disk.folder, IDENTITY)
    assert (shard.applied_seq if shard else 0) == max(expected, default=0)
    if shard is None:
        shard = Shard(SPACES)
    else:
        assert same(answers(shard), disk.answers[shard.applied_seq])
    begun = shard.applied_seq
    shard.apply(FEED[begun:], len(FEED))
    assert same(answers(shard), truth)
    return begun


def test_no_damage_is_believed(disk: Disk, truth: list[ShardHits]) -> None:
    begun: Counter[int] = Counter()
    for _, (name, changed) in zip(range(ROUNDS), damages(disk), strict=False):
        disk.put(changed)
        try:
            begun[check(disk, set(changed), truth)] += 1
        except AssertionError as error:
            raise AssertionError(f"{name} of {[str(path.relative_to(disk.folder)) for path in changed]}") from error
        finally:
            disk.put({path: disk.content[path] for path in changed})
    assert check(disk, set(), truth) == 200
    # Some damages took both snapshots, some the newest, some the older one alone.
    assert min(begun[0], begun[110], begun[200]) > ROUNDS // 20


def test_no_missing_file_is_overlooked(disk: Disk, truth: list[ShardHits]) -> None:
    for path, whole in disk.content.items():
        path.unlink()
        check(disk, {path}, truth)
        path.mkdir()
        check(disk, {path}, truth)
        path.rmdir()
        path.write_bytes(whole)
    assert check(disk, set(), truth) == 200


def test_segments_in_each_others_place_are_noticed(disk: Disk, truth: list[ShardHits]) -> None:
    folders = sorted({path.parent for path in disk.content if path.parent.name.startswith("segment-")})
    aside = disk.folder / "aside"
    for one, other in zip(folders, folders[1:] + folders[:1], strict=True):
        for source, target in ((one, aside), (other, one), (aside, other)):
            source.rename(target)
        check(disk, {path for path in disk.content if path.parent in (one, other)}, truth)
        for source, target in ((one, aside), (other, one), (aside, other)):
            source.rename(target)


def test_a_restored_shard_finds_by_default_what_it_found(disk: Disk) -> None:
    shard = load_newest(disk.folder, IDENTITY)
    assert shard is not None
    default, exact = (shard.search("image", QUERIES, 10, options=each) for each in (SearchOptions(), EXACT))
    assert recall(default, exact) >= 0.9
    assert {path.name for path in disk.folder.glob(f"*/{MANIFEST}")} == {MANIFEST}
