"""Regions through the worker's batcher over the bare detector on the same pixels, vectors included.

The bare detector is torchvision's own network, called as its documentation shows, one picture after the other: it finds
boxes and nothing else, in half precision where the product takes it. Both take turns within each round, so that a noisy
machine disturbs both alike; each ratio is the median of the rounds. Crops go through an image model in batches; beside
it stands what one by one would give.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torchvision
from PIL import Image

from benchmarks.embed import spent, started_batcher
from benchmarks.pictures import load_pictures
from benchmarks.report import Report, arguments
from benchmarks.weights import random_detector, random_weights
from pixvec.domain import RegionEmbedding, RegionSettings
from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.detector import Detections, RegionExtractor
from pixvec.vision.detectors import load_detector
from pixvec.vision.extractor import Extractor
from pixvec.vision.preprocess import Pixels
from pixvec.vision.region_extractor import crop, region_extractor
from pixvec.vision.registry import load
from pixvec.vision.torch_backbone import fastest_dtype
from pixvec.vision.weights import WeightSource
from workers.batcher import Batcher

QUICK = ("fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_resnet50_fpn")
MODELS = (*QUICK, "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn")
CROP_MODEL = "mobilenet_v3_small"
GOAL = 0.9
# As many regions as a collection has by default, however sure random weights are of them.
REGIONS = RegionSettings("random", min_score=0.0)
CROPS = RegionSettings("random", min_score=0.0, embedding=RegionEmbedding.CROP)


@dataclass(frozen=True, slots=True)
class Subject:
    """A detector with the weights in `file`, bare and as the worker has it, and pictures for both."""

    name: str
    file: Path
    pictures: Sequence[Pixels]

    def bare(self) -> Callable[[], object]:
        """Return what runs the library's own network."""
        network = torchvision.models.get_model(self.name, weights=None, weights_backbone=None)
        network.load_state_dict(torch.load(self.file, weights_only=True))
        network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        return partial(run_bare, network, self.pictures)

    def regions(self, settings: RegionSettings, model: Extractor | None = None) -> RegionExtractor:
        """Return what fills a space of regions."""
        detector = load_detector(self.name, WeightSource({self.name: self.file}, download=False))
        return region_extractor(detector, settings, model)


@torch.inference_mode()
def run_bare(network: torch.nn.Module, pictures: Sequence[Pixels]) -> None:
    """Find boxes in each picture."""
    device = next(network.parameters()).device
    kind = fastest_dtype(device)
    with torch.autocast(device.type, kind, enabled=kind is not torch.float32):
        for picture in pictures:
            network([torch.tensor(picture).to(device).permute(2, 0, 1).float() / 255])


def through_batcher(batcher: Batcher, regions: RegionExtractor, pictures: Sequence[Pixels]) -> list[Detections]:
    """Queue every picture at once, as ingestion does, and wait for all their regions."""
    passing = [batcher.submit_regions(regions, picture) for picture in pictures]
    return [each.result().pictures[0] for each in passing]


def one_by_one(regions: RegionExtractor, model: Extractor, pictures: Sequence[Pixels]) -> None:
    """Find boxes, then embed each crop for itself."""
    for picture in pictures:
        (found,) = regions.detect([picture])
        for box in found.boxes:
            model.embed(model.preprocess.apply(Image.fromarray(crop(picture, box)))[None])


def measure(subject: Subject, batcher: Batcher, rounds: int, report: Report) -> None:
    """Add a detector's ratio and figures to the report."""
    bare, regions = subject.bare(), subject.regions(REGIONS)
    bare()
    found = through_batcher(batcher, regions, subject.pictures)
    pairs = [
        (spent(bare).seconds, spent(partial(through_batcher, batcher, regions, subject.pictures)).seconds)
        for _ in range(rounds)
    ]
    count = len(subject.pictures)
    report.ratio(f"regions over bare, {subject.name}", statistics.median(b / r for b, r in pairs), at_least=GOAL)
    report.figure(f"regions, pictures/s, {subject.name}", count / statistics.median(r for _, r in pairs))
    report.figure(f"regions a picture, {subject.name}", statistics.mean(map(len, found)))


def measure_crops(subject: Subject, batcher: Batcher, model: Extractor, rounds: int, report: Report) -> None:
    """Add what batches of crops gain over crops one by one."""
    crops, boxes = subject.regions(CROPS, model), subject.regions(REGIONS)
    through_batcher(batcher, crops, subject.pictures)
    pairs = [
        (
            spent(partial(one_by_one, boxes, model, subject.pictures)).seconds,
            spent(partial(through_batcher, batcher, crops, subject.pictures)).seconds,
        )
        for _ in range(rounds)
    ]
    ratio = statistics.median(single / batched for single, batched in pairs)
    report.ratio(f"crops in batches over one by one, {subject.name}, {model.name}", ratio, at_least=1.0)
    seconds = statistics.median(batched for _, batched in pairs)
    report.figure(f"crops, pictures/s, {subject.name}, {model.name}", len(subject.pictures) / seconds)


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="JPEG files to measure with (default: made ones)")
    parser.add_argument("--models", nargs="+", choices=MODELS)
    options = parser.parse_args()
    models = options.models or (QUICK if options.quick else MODELS)
    contents = load_pictures(options.pictures, 4 if options.quick else 16)
    rounds = 3 if options.quick else 5
    report = Report("regions")
    if torch.cuda.is_available():
        report.figure("GPU", torch.cuda.get_device_name())
    with TemporaryDirectory() as folder, started_batcher() as batcher:
        image_file = random_weights(CROP_MODEL, Path(folder))
        image_model = load(CROP_MODEL, WeightSource({CROP_MODEL: image_file}, download=False))
        for name in models:
            file = random_detector(name, Path(folder))
            preprocess = load_detector(name, WeightSource({name: file}, download=False)).preprocess
            pictures = [decode(content, preprocess, DecodeLimits()).pixels for content in contents]
            subject = Subject(name, file, pictures)
            measure(subject, batcher, rounds, report)
            if name == models[0]:
                measure_crops(subject, batcher, image_model, rounds, report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
