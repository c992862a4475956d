"""What is asked of several spaces at once, as it comes over the wire."""

import pytest
from google.protobuf import text_format

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.fusion import FusedSpace, Fusion, FusionMethod
from pixvec.rpc.validation import RulesBroken, check
from services.gateway.query_converters import to_query


def request(text, query='image: "a"'):
    return text_format.Parse(f'collection: "photos" {query} {text}', pb.QueryRequest())


def test_what_is_asked_arrives():
    asked = request(
        'fusion { spaces { space: "image" } spaces { space: "colours" weight: 0.5 min_score: 0.25 }'
        " method: FUSION_METHOD_WEIGHTED rrf_k: 7 }"
    )
    check(asked)
    colours = FusedSpace("colours", 0.5, 0.25)
    assert to_query(asked).fusion == Fusion((FusedSpace("image"), colours), FusionMethod.WEIGHTED, 7)
    assert to_query(request('fusion { spaces { space: "a" } }')).fusion == Fusion((FusedSpace("a"),))
    assert to_query(request("")).fusion is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fusion {}", "fusion.spaces"),
        ('fusion { spaces { space: "a" weight: -1 } }', r"fusion.spaces\[0\].weight"),
        ('fusion { spaces { space: "a" weight: 0 } spaces { space: "b" weight: 0 } }', "must have a weight above 0"),
        ('fusion { spaces { space: "a" } rrf_k: 0 }', "rrf_k"),
        ('fusion { spaces { space: "a" } } space: "b"', "leave `space` out"),
        ('fusion { spaces { space: "a" } } box { x2: 1 y2: 1 }', "leave box and region_id out"),
    ],
)
def test_rules_say_what_can_never_be_fused(text, message):
    with pytest.raises(RulesBroken, match=message):
        check(request(text))


def test_regions_are_not_fused():
    with pytest.raises(RulesBroken, match="leave box and region_id out"):
        check(request('fusion { spaces { space: "a" } }', 'region_id: "a#0"'))
