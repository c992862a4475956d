import grpc

from pixvec.rpc.channels import AsyncChannels
from tests.in_loop import in_loop


@in_loop
async def test_channels_to_other_addresses_are_closed():
    channels = AsyncChannels()
    kept, left = channels.get("unix:kept"), channels.get("unix:left")
    channels.keep({"unix:kept"})
    await channels._leaving[left]
    assert left.get_state() is grpc.ChannelConnectivity.SHUTDOWN
    assert kept.get_state() is grpc.ChannelConnectivity.IDLE
    assert channels.get("unix:kept") is kept
    assert channels.get("unix:left") is not left
    assert channels._leaving == {}
    await channels.close()
