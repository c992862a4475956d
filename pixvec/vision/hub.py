"""Weights from the hub that timm and open_clip publish on, through its own client and cache."""

import re
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pixvec.errors import WeightsUnavailable
from pixvec.vision.digest import file_sha256
from pixvec.vision.weights import WeightFile, WeightSource

_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(name: str, repository: str, files: tuple[str, ...], source: WeightSource) -> WeightFile:
    """Return the first of these files that the repository has: from the cache, or downloaded if that is allowed.

    Raises WeightsUnavailable with the remedy, also for a file whose hash is not the one it was published with.
    """
    why = ""
    for file in files:
        try:
            path = Path(hf_hub_download(repository, file, local_files_only=not source.download))
        except LocalEntryNotFoundError as error:
            why = "it is not in the cache" + (", and the hub cannot be reached" if source.download else "")
            last: Exception = error
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            why, last = f"the download failed: {str(error).partition(chr(10))[0]}", error
        else:
            return _checked(path)
    raise WeightsUnavailable(
        f"no weights for {name}: {why}. Start with `pixvec up --weights {name}=FILE`"
        + ("" if source.download else ", or allow downloads")
    ) from last


def _checked(path: Path) -> WeightFile:
    sha256 = file_sha256(path)
    # The cache keeps large files under the hash that they were published with.
    published = path.resolve().name
    if _SHA256.fullmatch(published) and published != sha256:
        raise WeightsUnavailable(f"{path} is damaged: its SHA-256 is {sha256[:16]}…, not {published[:16]}…; remove it")
    return WeightFile(path, sha256)
