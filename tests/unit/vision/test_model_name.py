"""A model's text is understood once; whatever order its steps were written in, it has one canonical form."""

import pytest

from pixvec.errors import InvalidRequest
from pixvec.vision.model_name import ModelName, Pooling, PoolingChoice, Projection, parse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("resnet50", ModelName("resnet50")),
        ("resnet50+flip", ModelName("resnet50", flip=True)),
        ("resnet50+avg+crops", ModelName("resnet50", PoolingChoice(Pooling.AVERAGE), crops=True)),
        ("resnet50+gem", ModelName("resnet50", PoolingChoice(Pooling.GEM))),
        ("resnet50+gem:2.5", ModelName("resnet50", PoolingChoice(Pooling.GEM, 2.5))),
        ("timm:vit_tiny.a1+cls", ModelName("timm:vit_tiny.a1", PoolingChoice(Pooling.CLS))),
        ("resnet50+pca:faces", ModelName("resnet50", projection=Projection("faces"))),
        ("resnet50+pcaw:faces:128", ModelName("resnet50", projection=Projection("faces", 128, True))),
        ("resnet50+pca:a/b:c", ModelName("resnet50", projection=Projection("a/b:c"))),
        ("open_clip:local-dir:a/b+flip", ModelName("open_clip:local-dir:a/b", flip=True)),
    ],
)
def test_a_text_is_its_parts_and_their_canonical_text_is_the_same(text: str, name: ModelName) -> None:
    assert parse(text) == name
    assert str(name) == text


def test_steps_in_any_order_have_one_text() -> None:
    assert str(parse("resnet50+pca:faces:64+crops+flip+gem")) == "resnet50+gem+flip+crops+pca:faces:64"
    assert str(parse("resnet50+gem:3.0")) == "resnet50+gem:3"


@pytest.mark.parametrize(
    ("base", "family"),
    [
        ("resnet50", ("", "resnet50")),
        ("timm:resnet18.a1", ("timm", "resnet18.a1")),
        ("open_clip:local-dir:/a/b", ("open_clip", "local-dir:/a/b")),
    ],
)
def test_what_is_before_the_first_colon_is_the_family(base: str, family: tuple[str, str]) -> None:
    assert parse(base).family == family


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no network"),
        ("+flip", "names no network"),
        ("resnet50+", "'' is none of avg, cls, gem"),
        ("resnet50+mirror", "'mirror' is none of"),
        ("resnet50+flip:2", "'flip:2' is none of"),
        ("resnet50+pca", "'pca' is none of"),
        ("resnet50+avg:2", "'avg:2' is none of"),
        ("resnet50+flip+flip", "'flip' comes after another step of its kind"),
        ("resnet50+gem+avg", "'avg' comes after another"),
        ("resnet50+pca:a+pcaw:b", "'pcaw:b' comes after another"),
        ("resnet50+gem:0", "GeM's power is a number above 0, to 100, not '0'"),
        ("resnet50+gem:nan", "GeM's power"),
        ("resnet50+gem:x", "GeM's power"),
        ("resnet50+pca:a:0", "at least one dimension, not 'a:0'"),
        ("resnet50+pca::5", "FILE or FILE:DIM"),
    ],
)
def test_what_cannot_be_understood_is_said(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    assert why in caught.value.message
    assert repr(text) in caught.value.message
    assert caught.value.field == "model"
