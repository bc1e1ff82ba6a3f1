"""What the client takes from a thread; `aio_transport` is the same for an event loop."""

from time import sleep

from landmarks.rpc.channel import open_channel

__all__ = ["open_channel", "sleep"]
