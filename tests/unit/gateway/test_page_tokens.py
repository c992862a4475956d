import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.errors import InvalidRequest
from services.gateway.page_tokens import decode_page_token, encode_page_token


@given(st.text(st.characters(codec="utf-8")))
def test_a_token_gives_its_key_back(key):
    assert decode_page_token("jobs", encode_page_token("jobs", key), str, "") == key


def test_no_token_is_the_first_page():
    assert decode_page_token("failures", "", int, -1) == -1


@pytest.mark.parametrize(
    "token",
    ["not base64!", "AAAA", "ÿ", encode_page_token("collections", "a"), base64.urlsafe_b64encode(b"\xff\xfe").decode()],
)
def test_a_token_of_another_call_is_refused(token):
    with pytest.raises(InvalidRequest) as caught:
        decode_page_token("jobs", token, str, "")
    assert caught.value.field == "page_token"


def test_a_key_that_cannot_be_is_refused():
    with pytest.raises(InvalidRequest):
        decode_page_token("failures", encode_page_token("failures", "x"), int, -1)
