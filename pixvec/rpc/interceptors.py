"""Around every call of a server: it is counted, checked by the rules in the protos, and its errors are translated."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from pixvec.errors import InvalidRequest, Overloaded, PixvecError, Unavailable
from pixvec.rpc.errors import status_code, to_metadata, to_status
from pixvec.rpc.validation import RulesBroken, check
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import RPC_IN_FLIGHT, RPC_SECONDS

log = get_logger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
if TYPE_CHECKING:
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Interceptor = grpc.aio.ServerInterceptor
# Their methods are called by probes all day, and have no rules.
_UNGUARDED = ("/grpc.health.", "/grpc.reflection.")


class CallGuard(Interceptor):
    """Guards every method of a server. `self_checking` names methods that check the messages of their request stream
    themselves, such as `/pixvec.api.v1.ImageService/Ingest`, where a bad one must not end the call."""

    def __init__(self, self_checking: frozenset[str] = frozenset()) -> None:
        self._self_checking = self_checking
        self._guarded: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the guarded handler. Each is made once: this runs for every call."""
        method = handler_call_details.method
        known = self._guarded.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(_UNGUARDED):
            return handler
        guarded = self._guarded[method] = _guard(handler, method, checks_stream=method not in self._self_checking)
        return guarded


class _Call:
    """Counts a method's calls and translates what they raise."""

    def __init__(self, method: str) -> None:
        self._method = method.removeprefix("/")
        self._in_flight = RPC_IN_FLIGHT.labels(self._method)
        self._ok = RPC_SECONDS.labels(self._method, grpc.StatusCode.OK.name)

    def begin(self) -> float:
        self._in_flight.inc()
        return time.perf_counter()

    def end(self, begun: float, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        self._in_flight.dec()
        ok = code is grpc.StatusCode.OK
        series = self._ok if ok else RPC_SECONDS.labels(self._method, code.name)
        series.observe(time.perf_counter() - begun)

    async def fail(self, begun: float, error: Exception, context: Any) -> None:
        """End a failed call. Raises what ends it for gRPC."""
        if isinstance(error, grpc.aio.AbortError):
            self.end(begun, context.code() or grpc.StatusCode.UNKNOWN)
            raise error
        translated = self._translate(error)
        code = status_code(translated)
        self.end(begun, code)
        violations = translated.violations if isinstance(translated, RulesBroken) else ()
        status = to_status(translated, violations)
        await context.abort(code, status.message, to_metadata(status))

    def _translate(self, error: Exception) -> PixvecError:
        if isinstance(error, TimeoutError):
            return Unavailable("the call took longer than its deadline; try again, or give it more time")
        # The base class itself stands for an internal error of another process.
        if isinstance(error, PixvecError) and type(error) is not PixvecError:
            if isinstance(error, Unavailable | Overloaded):
                log.info("call_refused", method=self._method, reason=error.reason, error=error.message)
            return error
        log.error("call_failed", method=self._method, exc_info=error)
        return PixvecError("internal error; the server's log has the details")


def _guard(handler: Handler, method: str, *, checks_stream: bool) -> Handler:
    behaviour, kind = _shape(handler)
    call = _Call(method)

    def checked(request: Any) -> Any:
        if handler.request_streaming:
            return _checked_stream(request, rules=checks_stream)
        _check_readable(request)
        check(request)
        return request

    async def answer(request: Any, context: Any) -> Any:
        begun = call.begin()
        try:
            response = await behaviour(checked(request), context)
        except asyncio.CancelledError:
            call.end(begun, grpc.StatusCode.CANCELLED)
            raise
        except Exception as error:  # noqa: BLE001 - the one place where every error is translated
            await call.fail(begun, error, context)
        else:
            call.end(begun)
            return response

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        begun = call.begin()
        try:
            async with aclosing(behaviour(checked(request), context)) as responses:
                async for response in responses:
                    yield response
        except (asyncio.CancelledError, GeneratorExit):
            call.end(begun, grpc.StatusCode.CANCELLED)
            raise
        except Exception as error:  # noqa: BLE001 - the one place where every error is translated
            await call.fail(begun, error, context)
        else:
            call.end(begun)

    return kind(
        stream if handler.response_streaming else answer,
        request_deserializer=_careful(handler.request_deserializer),
        response_serializer=handler.response_serializer,
    )


async def _checked_stream(requests: AsyncIterator[Any], *, rules: bool) -> AsyncIterator[Any]:
    async for request in requests:
        _check_readable(request)
        if rules:
            check(request)
        yield request


def _careful(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Return a deserializer whose error does not stay within gRPC, where nobody would translate it."""
    if deserialize is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return error

    return read


def _check_readable(request: Any) -> None:
    if isinstance(request, DecodeError):
        raise InvalidRequest(
            "the message is damaged, or of another kind: send it as the protos of this API describe it"
        )


def _shape(handler: Handler) -> tuple[Callable[[Any, Any], Any], Callable[..., Handler]]:
    shapes: dict[tuple[bool, bool], tuple[Any, Callable[..., Handler]]] = {
        (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    }
    return shapes[bool(handler.request_streaming), bool(handler.response_streaming)]
