"""What the client takes from an event loop; `sync_transport` is the same for threads."""

from asyncio import sleep

from landmarks.rpc.channel import open_aio_channel as open_channel

__all__ = ["open_channel", "sleep"]
