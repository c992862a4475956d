"""How channels between pixvec's own processes are set up. They are made on first use: gRPC does not survive a fork."""

import asyncio
import threading
from collections.abc import Collection, Sequence

import grpc

MAX_MESSAGE_BYTES = 64 * 2**20
_PARTING_S = 30.0

ChannelOptions = Sequence[tuple[str, str | int]]


def channel_options(max_message_bytes: int = MAX_MESSAGE_BYTES) -> ChannelOptions:
    """Return the options of an internal channel: keep-alive, sizes, quick reconnection, no proxy."""
    return (
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.enable_http_proxy", 0),
    )


class AsyncChannels:
    """One channel an address, made when first asked for. Belongs to one event loop."""

    def __init__(self, options: ChannelOptions | None = None) -> None:
        self._options = options or channel_options()
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._leaving: dict[grpc.aio.Channel, asyncio.Task[None]] = {}

    def get(self, address: str) -> grpc.aio.Channel:
        """Return the channel to this address."""
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = grpc.aio.insecure_channel(address, options=self._options)
        return channel

    def keep(self, addresses: Collection[str]) -> None:
        """Close the channels to all other addresses; calls under way may end."""
        for address in self._channels.keys() - addresses:
            channel = self._channels.pop(address)
            self._leaving[channel] = asyncio.ensure_future(self._part_with(channel))

    async def _part_with(self, channel: grpc.aio.Channel) -> None:
        await channel.close(_PARTING_S)
        del self._leaving[channel]

    async def close(self) -> None:
        """Close every channel; calls under way are cancelled."""
        channels = [*self._channels.values(), *self._leaving]
        self._channels = {}
        for channel in channels:
            await channel.close(None)
        await asyncio.gather(*self._leaving.values())


class SyncChannels:
    """One channel an address, made when first asked for. Thread-safe."""

    def __init__(self, options: ChannelOptions | None = None) -> None:
        self._options = options or channel_options()
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}
        self._leaving: list[grpc.Channel] = []

    def get(self, address: str) -> grpc.Channel:
        """Return the channel to this address."""
        with self._lock:
            channel = self._channels.get(address)
            if channel is None:
                channel = self._channels[address] = grpc.insecure_channel(address, options=self._options)
            return channel

    def keep(self, addresses: Collection[str]) -> None:
        """Let go of the channels to all other addresses. They are closed the next time, when the calls of those who had
        got them have ended."""
        with self._lock:
            closing, self._leaving = self._leaving, []
            for address in self._channels.keys() - addresses:
                self._leaving.append(self._channels.pop(address))
        for channel in closing:
            channel.close()

    def close(self) -> None:
        """Close every channel; calls under way are cancelled."""
        with self._lock:
            channels = [*self._channels.values(), *self._leaving]
            self._channels, self._leaving = {}, []
        for channel in channels:
            channel.close()
