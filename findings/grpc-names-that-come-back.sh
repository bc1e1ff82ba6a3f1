#!/bin/sh
# grpcio 1.85.1: after a name had no address, a channel looks it up again after 1, 1.6, 2.6, 4.1 … s
# (1.6 times as long each time, 120 s at most), however often it is called. None of the options that
# read as if they bounded this does: dns_min_time_between_resolutions_ms, and the three of
# reconnect_backoff. A new channel looks the name up at once.
#
# So a program whose server was away by name for minutes, as a stopped container is, goes on failing
# for up to two minutes after the server is back. Takes half a minute.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.1
cat >check.py <<'END'
"""Call a name that a DNS server of our own does not know, and note when it is asked."""
import socket, struct, threading, time
import grpc
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
asked = []
def serve():
    while True:
        query, sender = server.recvfrom(4096)
        end = 12
        while query[end]:
            end += 1 + query[end]
        asked.append(time.monotonic())
        no_such_name = query[:2] + struct.pack("!HHHHH", 0x8583, 1, 0, 0, 0) + query[12 : end + 5]
        server.sendto(no_such_name, sender)
threading.Thread(target=serve, daemon=True).start()
OPTIONS = [
    ("grpc.dns_min_time_between_resolutions_ms", 500),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
]
target = f"dns://127.0.0.1:{server.getsockname()[1]}/away.test:50051"
def call(channel):
    try:
        channel.unary_unary("/a.B/C")(b"", timeout=1)
    except grpc.RpcError:
        pass
with grpc.insecure_channel(target, options=OPTIONS) as channel:
    end = time.monotonic() + 22
    while time.monotonic() < end:
        call(channel)
        time.sleep(0.2)
    # IPv4 and IPv6 are asked for together.
    rounds = [at for before, at in zip([0, *asked], asked) if at - before > 0.3]
    pauses = [round(after - before, 1) for before, after in zip(rounds, rounds[1:])]
    print("seconds between lookups, at five calls a second:", *pauses)
    assert max(pauses) > 4, "changed: lookups of a name without an address do not back off"
    assert pauses[0] < 2 < pauses[-1], "changed: the pauses do not grow"
    before = len(asked)
    with grpc.insecure_channel(target, options=OPTIONS) as another:
        call(another)
    assert len(asked) > before, "changed: a new channel does not look the name up at once"
END
venv/bin/python check.py
echo "as found: grpcio 1.85.1: lookups of a name without an address back off, whatever the options"
