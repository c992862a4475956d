"""Page tokens: opaque to the caller, a kind and a key to us."""

import base64
from collections.abc import Callable
from typing import TypeVar

from pixvec.errors import InvalidRequest

DEFAULT_PAGE_SIZE = 100

_Key = TypeVar("_Key")


def encode_page_token(kind: str, after: str) -> str:
    """Return the token of the page that begins after this key."""
    return base64.urlsafe_b64encode(f"{kind}:{after}".encode()).decode().rstrip("=")


def decode_page_token(kind: str, token: str, parse: Callable[[str], _Key], first: _Key) -> _Key:
    """Return the key that the page begins after, `first` for an empty token. `parse` raises ValueError for a key that
    cannot be. Raises InvalidRequest."""
    if not token:
        return first
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        found_kind, _, after = decoded.partition(":")
        if found_kind != kind:
            raise ValueError(found_kind)
        return parse(after)
    except ValueError as error:
        raise InvalidRequest(
            "page_token is not one that this call returned; send `next_page_token` of the last page, or none to begin",
            field="page_token",
        ) from error
