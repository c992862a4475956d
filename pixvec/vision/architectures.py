"""The networks of torchvision that there are weights for, as plain facts: reading them imports no model library.

Sizes and preprocessing are those of torchvision's published weights, file names end in the start of their SHA-256.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pixvec.vision.model_name import Pooling
from pixvec.vision.preprocess import Interpolation, Preprocess


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of torchvision. `head`: what is left out of it; `size_bytes`: of the published file."""

    name: str
    dim: int
    parameters: int
    size_bytes: int
    torchvision_name: str
    file_name: str
    preprocess: Preprocess
    head: tuple[str, ...]
    description: str
    pooling: Pooling = Pooling.AVERAGE


_MB = 2**20


def _all() -> tuple[Architecture, ...]:
    crop, short = Preprocess(232, 224), Preprocess(256, 224)
    bicubic = Preprocess(256, 224, interpolation=Interpolation.BICUBIC)
    fc, classifier, norm_kept, heads = ("fc",), ("classifier",), ("classifier.2",), ("heads",)
    return (
        Architecture(
            "resnet50", 2048, 25_557_032, 98 * _MB, "ResNet50_Weights.IMAGENET1K_V2", "resnet50-11ad3fa6.pth",
            crop, fc, "ResNet-50, global average pool (He et al. 2016; ImageNet-1k V2): the best of these for things",
        ),
        Architecture(
            "mobilenet_v3_small", 576, 2_542_856, 10 * _MB,
            "MobileNet_V3_Small_Weights.IMAGENET1K_V1", "mobilenet_v3_small-047dcff4.pth",
            short, classifier,
            "MobileNetV3-Small, global average pool (Howard et al. 2019; ImageNet-1k V1): many times faster",
        ),
        Architecture(
            "resnet18", 512, 11_689_512, 45 * _MB, "ResNet18_Weights.IMAGENET1K_V1", "resnet18-f37072fd.pth",
            short, fc, "ResNet-18, global average pool (He et al. 2016; ImageNet-1k V1)",
        ),
        Architecture(
            "resnet34", 512, 21_797_672, 83 * _MB, "ResNet34_Weights.IMAGENET1K_V1", "resnet34-b627a593.pth",
            short, fc, "ResNet-34, global average pool (He et al. 2016; ImageNet-1k V1)",
        ),
        Architecture(
            "resnet101", 2048, 44_549_160, 171 * _MB, "ResNet101_Weights.IMAGENET1K_V2", "resnet101-cd907fc2.pth",
            crop, fc, "ResNet-101, global average pool (He et al. 2016; ImageNet-1k V2)",
        ),
        Architecture(
            "mobilenet_v3_large", 960, 5_483_032, 21 * _MB,
            "MobileNet_V3_Large_Weights.IMAGENET1K_V2", "mobilenet_v3_large-5c1a4163.pth",
            crop, classifier, "MobileNetV3-Large, global average pool (Howard et al. 2019; ImageNet-1k V2)",
        ),
        Architecture(
            "efficientnet_b0", 1280, 5_288_548, 20 * _MB,
            "EfficientNet_B0_Weights.IMAGENET1K_V1", "efficientnet_b0_rwightman-7f5810bc.pth",
            bicubic, classifier, "EfficientNet-B0, global average pool (Tan and Le 2019; ImageNet-1k V1)",
        ),
        Architecture(
            "efficientnet_v2_s", 1280, 21_458_488, 83 * _MB,
            "EfficientNet_V2_S_Weights.IMAGENET1K_V1", "efficientnet_v2_s-dd5fe13b.pth",
            Preprocess(384, 384), classifier,
            "EfficientNetV2-S at 384 pixels, global average pool (Tan and Le 2021; ImageNet-1k V1)",
        ),
        Architecture(
            "convnext_tiny", 768, 28_589_128, 109 * _MB,
            "ConvNeXt_Tiny_Weights.IMAGENET1K_V1", "convnext_tiny-983f1562.pth",
            Preprocess(236, 224), norm_kept,
            "ConvNeXt-Tiny, global average pool, layer norm (Liu et al. 2022; ImageNet-1k V1)",
        ),
        Architecture(
            "convnext_base", 1024, 88_591_464, 338 * _MB,
            "ConvNeXt_Base_Weights.IMAGENET1K_V1", "convnext_base-6075fbad.pth",
            crop, norm_kept, "ConvNeXt-Base, global average pool, layer norm (Liu et al. 2022; ImageNet-1k V1)",
        ),
        Architecture(
            "vit_b_16", 768, 86_567_656, 330 * _MB, "ViT_B_16_Weights.IMAGENET1K_V1", "vit_b_16-c867db91.pth",
            short, heads, "ViT-B/16, CLS token (Dosovitskiy et al. 2021; ImageNet-1k V1)", Pooling.CLS,
        ),
        Architecture(
            "vit_l_16", 1024, 304_326_632, 1161 * _MB, "ViT_L_16_Weights.IMAGENET1K_V1", "vit_l_16-852ce7e3.pth",
            Preprocess(242, 224), heads, "ViT-L/16, CLS token (Dosovitskiy et al. 2021; ImageNet-1k V1)", Pooling.CLS,
        ),
    )  # fmt: skip


ARCHITECTURES: Mapping[str, Architecture] = {architecture.name: architecture for architecture in _all()}
