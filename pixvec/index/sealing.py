"""Makes a sealed segment of the rows that a shard has set apart."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from pixvec.disk import sync_folder
from pixvec.domain import IndexKind, IndexSettings, Metric
from pixvec.index.building import write_index, write_rows
from pixvec.index.durable import Damaged, FileSeal
from pixvec.index.kinds import is_exact
from pixvec.index.sealed import SealedSegment, SegmentSeal, open_sealed
from pixvec.index.space_rows import Build

# Builds the index over the rows in a folder, and returns its file's seal. Raises OSError.
MakeIndex: TypeAlias = Callable[[Path, IndexKind, Metric, IndexSettings], FileSeal]


def seal(parent: Path, build: Build, make_index: MakeIndex) -> SealedSegment | None:
    """Write a segment into a folder of its own below `parent` and open it; None when no row is left.

    Raises OSError, where disk or memory have no room for one, and Damaged when the disk does not hold what was written;
    nothing is left then.
    """
    if not build.row_count:
        return None
    folder = parent / build.name
    folder.mkdir(parents=True)
    try:
        return _write(folder, build, make_index)
    except (OSError, Damaged):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except (MemoryError, RuntimeError) as error:
        # FAISS's own are RuntimeErrors.
        shutil.rmtree(folder, ignore_errors=True)
        raise OSError(f"{build.name} of {build.row_count} rows cannot be built: {error!r}") from error


def index_in_this_process(folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings) -> FileSeal:
    """Build with one thread, here: for tests and small tools."""
    return write_index(folder, kind, metric, settings, threads=1)


def _write(folder: Path, build: Build, make_index: MakeIndex) -> SealedSegment:
    space, settings = build.space, build.space.index
    files = write_rows(folder, space, build.chunks)
    if not is_exact(build.kind):
        files += (make_index(folder, build.kind, space.metric, settings),)
    # The shard's own folder may be new.
    for each in (folder, folder.parent, folder.parent.parent):
        sync_folder(each)
    name, rows = folder.name, build.row_count
    return open_sealed(folder, SegmentSeal(name, space.name, build.kind, rows, files, settings), space)
