"""The detectors of torchvision that there are weights for, as plain facts: reading them imports no model library.

File names end in the start of the file's SHA-256. All find the 80 kinds of things of COCO.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pixvec.vision.preprocess import DetectorPreprocess


@dataclass(frozen=True, slots=True)
class DetectorArchitecture:
    """A detector of torchvision. `dim`: of its box head; `size_bytes`: of the published file.

    `norm_eps`: what batch norms add to the variance, where the published weights were trained with another value than
    the library's.
    """

    name: str
    parameters: int
    size_bytes: int
    torchvision_name: str
    file_name: str
    description: str
    preprocess: DetectorPreprocess
    norm_eps: float | None = None
    dim: int = 1024


_MB = 2**20


def _all() -> tuple[DetectorArchitecture, ...]:
    usual, small = DetectorPreprocess(800, 1333), DetectorPreprocess(320, 640)
    return (
        DetectorArchitecture(
            "fasterrcnn_resnet50_fpn", 41_755_286, 160 * _MB,
            "FasterRCNN_ResNet50_FPN_Weights.COCO_V1", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
            "Faster R-CNN, ResNet-50-FPN (Ren et al. 2015, Lin et al. 2017; COCO V1)", usual, norm_eps=0.0,
        ),
        DetectorArchitecture(
            "fasterrcnn_resnet50_fpn_v2", 43_712_278, 167 * _MB,
            "FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
            "Faster R-CNN, ResNet-50-FPN, deeper heads (Li et al. 2021; COCO V1): better, and slower", usual,
        ),
        DetectorArchitecture(
            "fasterrcnn_mobilenet_v3_large_fpn", 19_386_354, 74 * _MB,
            "FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1", "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth",
            "Faster R-CNN, MobileNetV3-Large-FPN (COCO V1): several times faster", usual,
        ),
        DetectorArchitecture(
            "fasterrcnn_mobilenet_v3_large_320_fpn", 19_386_354, 74 * _MB,
            "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1",
            "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
            "Faster R-CNN, MobileNetV3-Large-FPN at 320 pixels (COCO V1): the fastest, for large things", small,
        ),
        DetectorArchitecture(
            "maskrcnn_resnet50_fpn", 44_401_393, 170 * _MB,
            "MaskRCNN_ResNet50_FPN_Weights.COCO_V1", "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            "Mask R-CNN, ResNet-50-FPN (He et al. 2017; COCO V1): masks too", usual, norm_eps=0.0,
        ),
        DetectorArchitecture(
            "maskrcnn_resnet50_fpn_v2", 46_359_409, 177 * _MB,
            "MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1", "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            "Mask R-CNN, ResNet-50-FPN, deeper heads (Li et al. 2021; COCO V1): masks too; better, and slower", usual,
        ),
    )  # fmt: skip


DETECTORS: Mapping[str, DetectorArchitecture] = {each.name: each for each in _all()}
