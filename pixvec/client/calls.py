"""How clients call: errors become those of `pixvec.errors`, pages follow each other, stale tokens are forgotten."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Protocol, TypeVar

import grpc

from pixvec.client import requests
from pixvec.client.failures import client_error
from pixvec.client.tokens import SessionTokens
from pixvec.errors import StaleToken

_Request = TypeVar("_Request", contravariant=True)
_Response = TypeVar("_Response", covariant=True)
_ListRequest = TypeVar("_ListRequest", bound=requests.ListRequest)
_Page = TypeVar("_Page", bound=requests.Page)


class _Method(Protocol[_Request, _Response]):
    def __call__(self, request: _Request, timeout: float | None = None) -> _Response: ...


class _AsyncMethod(Protocol[_Request, _Response]):
    def __call__(self, request: _Request, timeout: float = ...) -> Awaitable[_Response]: ...


class Calls:
    """Calls of one client to the gateway at `address`, which may take `timeout_s` unless it says otherwise."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._tokens = SessionTokens()

    def _pages(self, method: _Method[_ListRequest, _Page], request: _ListRequest) -> Iterator[_Page]:
        while True:
            page = self._call(method, request)
            yield page
            if not requests.turn_page(request, page):
                return

    def _fresh(
        self, collection: str, method: _Method[_Request, _Response], request: _Request, timeout_s: float
    ) -> _Response:
        try:
            return self._call(method, request, timeout_s)
        except StaleToken:
            # The writes it spoke of are no longer in the feed: the next search can only ask for what there is.
            self._tokens.forget(collection)
            raise

    def _call(
        self, method: _Method[_Request, _Response], request: _Request, timeout_s: float | None = None
    ) -> _Response:
        try:
            return method(request, timeout=timeout_s or self._timeout_s)
        except grpc.RpcError as error:
            raise client_error(error, self._address) from error


class AsyncCalls:
    """The same with an event loop."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._tokens = SessionTokens()

    async def _pages(self, method: _AsyncMethod[_ListRequest, _Page], request: _ListRequest) -> AsyncIterator[_Page]:
        while True:
            page = await self._call(method, request)
            yield page
            if not requests.turn_page(request, page):
                return

    async def _fresh(
        self, collection: str, method: _AsyncMethod[_Request, _Response], request: _Request, timeout_s: float
    ) -> _Response:
        try:
            return await self._call(method, request, timeout_s)
        except StaleToken:
            # The writes it spoke of are no longer in the feed: the next search can only ask for what there is.
            self._tokens.forget(collection)
            raise

    async def _call(
        self, method: _AsyncMethod[_Request, _Response], request: _Request, timeout_s: float | None = None
    ) -> _Response:
        try:
            return await method(request, timeout=timeout_s or self._timeout_s)
        except grpc.RpcError as error:
            raise client_error(error, self._address) from error
