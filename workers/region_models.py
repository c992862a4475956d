"""What fills spaces of regions: detectors with their settings and, for crops, the model that embeds them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pixvec.domain import RegionEmbedding, RegionSettings
from pixvec.errors import DigestMismatch
from pixvec.vision.detector import Detector, RegionExtractor
from pixvec.vision.extractor import Extractor

# Loading may take minutes, when weights have to be fetched first.
_LOADS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class RegionKey:
    """What regions are made by. `image_model`: the collection's, which embeds crops."""

    settings: RegionSettings
    image_model: str

    @property
    def crop_model(self) -> str:
        """The model that embeds crops; empty where the detector makes the vectors."""
        return self.image_model if self.settings.embedding is RegionEmbedding.CROP else ""


class RegionModels:
    """Loads each detector once, and keeps it, however many settings it is used with. Thread-safe.

    `load` loads a detector by name, `get_model` a model that embeds crops; `make` puts them together with settings.
    """

    def __init__(
        self,
        load: Callable[[str], Detector],
        get_model: Callable[[str], Extractor],
        make: Callable[[Detector, RegionSettings, Extractor | None], RegionExtractor],
    ) -> None:
        self._load = load
        self._get_model = get_model
        self._make = make
        self._detectors: dict[str, Detector] = {}
        self._loading: dict[str, Future[Detector]] = {}
        self._made: dict[tuple[RegionSettings, str], RegionExtractor] = {}
        self._lock = threading.Lock()
        self._loads = ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="detectors")
        # Others than those that load: the work here waits for those.
        self._makes = ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="regions")

    def find(self, key: RegionKey, digest: str = "") -> RegionExtractor | None:
        """Return what makes these regions if it is loaded: waits for nothing. None for one of another digest: the model
        that embeds crops may be another one by now."""
        made = self._made.get((key.settings, key.crop_model))
        return made if made is not None and digest in ("", made.digest) else None

    def begin(self, key: RegionKey) -> "Future[RegionExtractor]":
        """Load it. The future raises ModelNotFound, WeightsUnavailable, and InvalidRequest where the detector cannot do
        what the settings ask; the next call then tries again."""
        return self._makes.submit(self._prepare, key)

    def get(self, key: RegionKey, digest: str = "") -> RegionExtractor:
        """Return it once it is loaded. Raises as `begin` and `check_regions` do."""
        found = self.find(key, digest) or self.begin(key).result()
        check_regions(found, digest)
        return found

    def _prepare(self, key: RegionKey) -> RegionExtractor:
        detector = self._detector(key.settings.detector)
        embeds = self._get_model(key.crop_model) if key.crop_model else None
        made = self._make(detector, key.settings, embeds)
        kept = self._made.get((key.settings, key.crop_model))
        if kept is not None and kept.digest == made.digest:
            # Those that wait for the same one share a pass.
            return kept
        self._made[key.settings, key.crop_model] = made
        return made

    def _detector(self, name: str) -> Detector:
        with self._lock:
            if name not in self._loading and name not in self._detectors:
                self._loading[name] = self._loads.submit(self._load_detector, name)
            loading = self._loading.get(name)
        return self._detectors[name] if loading is None else loading.result()

    def _load_detector(self, name: str) -> Detector:
        try:
            detector = self._detectors[name] = self._load(name)
            return detector
        finally:
            with self._lock:
                del self._loading[name]


def check_regions(regions: RegionExtractor, digest: str) -> None:
    """Raise DigestMismatch if they are not those that are meant; any are where `digest` is empty."""
    if digest and regions.digest != digest:
        raise DigestMismatch(
            f"regions by {regions.name} have digest {regions.digest} here, the collection was made with {digest}: start"
            f" the worker with the weights the collection was made with, or make a new collection"
        )
