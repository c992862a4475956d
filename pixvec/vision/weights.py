"""Where a model's weights come from: a named file, torchvision's cache, its download, in this order.

What is not published by torchvision is a file named at start-up, or one in the folder of model files.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pixvec.errors import InvalidRequest, WeightsUnavailable
from pixvec.vision.architectures import ARCHITECTURES
from pixvec.vision.detector_architectures import DETECTORS
from pixvec.vision.digest import file_sha256
from pixvec.vision.download import HostUnreachable, download


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Published weights: torchvision's name of them, and the file's, which ends in the start of its SHA-256."""

    model: str
    torchvision_name: str
    file_name: str

    @property
    def sha256_prefix(self) -> str:
        """The first hexadecimal digits of the file's SHA-256."""
        return Path(self.file_name).stem.rpartition("-")[2]


CHECKPOINTS: Mapping[str, Checkpoint] = {
    each.name: Checkpoint(each.name, each.torchvision_name, each.file_name) for each in ARCHITECTURES.values()
}
DETECTOR_CHECKPOINTS: Mapping[str, Checkpoint] = {
    each.name: Checkpoint(each.name, each.torchvision_name, each.file_name) for each in DETECTORS.values()
}
_PUBLISHED: Mapping[str, Checkpoint] = {**CHECKPOINTS, **DETECTOR_CHECKPOINTS}

# Detectors that somebody trained.
DETECTOR_FAMILY = "detector"

# Of the families those whose files are fitted on pictures or vectors.
FITTED_FAMILIES = ("sift-bow", "sift-vlad", "pca")
# Models and fitted files that are named together with a name of their own.
FAMILIES = ("timm", "checkpoint", "open_clip", DETECTOR_FAMILY, *FITTED_FAMILIES)

# As torchvision names its files, and as fitted files are saved.
_HASH_IN_NAME = re.compile(r"-(?P<sha256>[0-9a-f]{8,64})$")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """Weights on this machine. `sha256`: 64 hexadecimal digits."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class NotHad:
    """Why weights could not be had; `offline`: because the host of all published ones cannot be reached."""

    why: str
    offline: bool


@dataclass(frozen=True, slots=True)
class WeightSource:
    """Where to look. `files`: model name to file; `download_limit_s` bounds one download as a whole.

    `folder`: where a name in a model's text that is not in `files` is looked for; nothing outside it is read. `fitted`
    returns the file of a fitted model that was registered under a name, None where there is none.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    download: bool = True
    download_limit_s: float = 300.0
    folder: Path | None = None
    fitted: Callable[[str], Path | None] | None = None


def parse_weights(text: str) -> dict[str, Path]:
    """Return model name to file, from MODEL=FILE pairs separated by commas; a bare FILE is matched by its name.

    Raises InvalidRequest, naming what is wrong.
    """
    files: dict[str, Path] = {}
    for entry in (part.strip() for part in text.split(",")):
        if not entry:
            continue
        model, equals, file = entry.partition("=")
        if not equals:
            model, file = _model_by_file_name(entry), entry
        if not (model in _PUBLISHED or _is_in_family(model)) or not file:
            raise InvalidRequest(f"weights {entry!r}: give MODEL=FILE, MODEL being {_models()}", field="weights")
        files[model] = Path(file).expanduser()
    return files


def checked(path: Path) -> WeightFile:
    """Return a file and its hash. Raises WeightsUnavailable if its name ends in the start of another hash."""
    if not path.is_file():
        raise WeightsUnavailable(f"{path} is not a file; name one that is")
    sha256 = file_sha256(path)
    said = _HASH_IN_NAME.search(path.stem)
    if said and not sha256.startswith(said["sha256"]):
        raise WeightsUnavailable(
            f"{path} is damaged or was changed: its SHA-256 is {sha256[:16]}…, not the one in its name; copy it again"
        )
    return WeightFile(path, sha256)


def find(checkpoint: Checkpoint, source: WeightSource) -> Path | None:
    """Return the file that is here already, or None. Raises WeightsUnavailable if a named file is missing."""
    named = source.files.get(checkpoint.model)
    if named is not None:
        if not named.is_file():
            raise WeightsUnavailable(f"weights of {checkpoint.model}: {named} is not a file; name one that is")
        return named
    cached = cache_path(checkpoint)
    return cached if cached.is_file() else None


def obtain(checkpoint: Checkpoint, source: WeightSource) -> WeightFile:
    """Return the weights, downloading them if need be and allowed.

    Raises WeightsUnavailable, with one message that names the file, the place and the command.
    """
    had = attempt(checkpoint, source)
    if isinstance(had, NotHad):
        other = ", or use the model hog-color, which needs none" if checkpoint.model in CHECKPOINTS else ""
        raise WeightsUnavailable(
            f"no weights for {checkpoint.model}: looked for {cache_path(checkpoint)}, but {had.why}. "
            f"Put {checkpoint.file_name} there, or start with `pixvec up --weights {checkpoint.model}=FILE`{other}"
        )
    return had


def attempt(checkpoint: Checkpoint, source: WeightSource) -> WeightFile | NotHad:
    """Return the weights, or why there are none. Raises WeightsUnavailable if a named file is missing or damaged."""
    path = find(checkpoint, source)
    if path is not None and checkpoint.model in source.files:
        return checked(path)
    if path is not None:
        found = WeightFile(path, file_sha256(path))
        if found.sha256.startswith(checkpoint.sha256_prefix):
            return found
    why = f"{path} is damaged (its SHA-256 is not the one in its name)" if path else "there is no such file"
    if not source.download:
        return NotHad(f"{why}, and downloads are off", offline=False)
    target = cache_path(checkpoint)
    try:
        sha256 = download(checkpoint.torchvision_name, target, checkpoint.sha256_prefix, source.download_limit_s)
    except OSError as error:
        return NotHad(f"{why}, and the download failed: {error}", offline=isinstance(error, HostUnreachable))
    return WeightFile(target, sha256)


def cache_path(checkpoint: Checkpoint) -> Path:
    """Return where torchvision keeps, and looks for, this file."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()
    return home / "hub" / "checkpoints" / checkpoint.file_name


def _model_by_file_name(file: str) -> str:
    """Return the longest name that the file's begins with: some models' names begin with others'."""
    return max((model for model in _PUBLISHED if Path(file).name.startswith(model)), key=len, default="")


def _is_in_family(model: str) -> bool:
    family, _, name = model.partition(":")
    return family in FAMILIES and bool(name)


def _models() -> str:
    return f"{', '.join(_PUBLISHED)}, or {', '.join(f'{family}:NAME' for family in FAMILIES)}"
