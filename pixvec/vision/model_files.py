"""Files that a model's text names: fitted ones, checkpoints, folders of open_clip.

The text may come from anyone who may make a collection. It therefore names nothing but what the deployment declared:
a name given at start-up (`--weights pca:faces=FILE`), a file in the folder of model files, or a fitted model by the
name that it was registered under.
"""

from pathlib import Path

from pixvec.errors import WeightsUnavailable
from pixvec.vision.weights import FITTED_FAMILIES, WeightFile, WeightSource, checked

_SUFFIXES = ("", ".safetensors", ".pth", ".pt", ".bin")


def locate(name: str, file: str, source: WeightSource) -> Path:
    """Return where the file or folder is that a model's text calls `file`; `name` is what `--weights` calls it.

    Raises WeightsUnavailable with the remedy, also for what lies outside the folder of model files.
    """
    named = source.files.get(name)
    if named is not None:
        if not named.exists():
            raise WeightsUnavailable(f"{name}: {named} is not there; name a file that is")
        return named
    found = _in_folder(file, source.folder) or _registered(name, file, source)
    if found is None:
        place = f" or put it into {source.folder}" if source.folder else ""
        fit = " or fit one with `pixvec train`" if name.partition(":")[0] in FITTED_FAMILIES else ""
        raise WeightsUnavailable(f"no file for {name}: start with `pixvec up --weights {name}=FILE`{place}{fit}")
    return found


def weight_file(name: str, file: str, source: WeightSource) -> WeightFile:
    """Return the file and its hash. Raises WeightsUnavailable: not there, or not of the hash in its name."""
    return checked(locate(name, file, source))


def declared(family: str, source: WeightSource) -> dict[str, Path]:
    """Return the names in a family that files were given for at start-up."""
    return {name: path for name, path in source.files.items() if name.partition(":")[0] == family}


def _registered(name: str, file: str, source: WeightSource) -> Path | None:
    is_fitted = name.partition(":")[0] in FITTED_FAMILIES
    return source.fitted(file) if is_fitted and source.fitted is not None else None


def _in_folder(file: str, folder: Path | None) -> Path | None:
    if folder is None or not file:
        return None
    root = folder.resolve()
    for suffix in _SUFFIXES:
        path = (root / f"{file}{suffix}").resolve()
        if path.is_relative_to(root) and path != root and path.exists():
            return path
    return None
