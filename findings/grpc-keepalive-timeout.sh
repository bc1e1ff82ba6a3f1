#!/bin/sh
# grpcio 1.85.1: `grpc.keepalive_timeout_ms` does not bound how long a client waits for the answer to
# its keepalive ping: a call to a server that is stopped (its connection stays up) is not ended by it.
# Only together with `grpc.http2.ping_timeout_ms`, whose default is a minute, does the call fail with
# UNAVAILABLE, so that a retry can go to another address.
#
# So a client with the documented settings of keepalive hangs for a minute where they say a second.
# Takes a quarter of a minute.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.1
cat >server.py <<'END'
from concurrent.futures import ThreadPoolExecutor
import grpc
class Answer(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"here")
PINGS = [
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 100),
]
server = grpc.server(ThreadPoolExecutor(2), handlers=[Answer()], options=PINGS)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
END
cat >check.py <<'END'
"""Call a server that has been stopped by a signal, with and without the second option."""
import os, signal, subprocess, sys, time
import grpc
KEEPALIVE = [("grpc.keepalive_time_ms", 600), ("grpc.keepalive_timeout_ms", 1000)]
def call_when_stopped(options):
    server = subprocess.Popen([sys.executable, "server.py"], stdout=subprocess.PIPE, text=True)
    target = f"127.0.0.1:{int(server.stdout.readline())}"
    with grpc.insecure_channel(target, options=options) as channel:
        method = channel.unary_unary("/a.B/C")
        assert method(b"", timeout=10) == b"here"
        server.send_signal(signal.SIGSTOP)
        os.waitpid(server.pid, os.WUNTRACED)  # until it has stopped
        begun = time.monotonic()
        try:
            method(b"", timeout=6)
        except grpc.RpcError as error:
            code = error.code()
        seconds = time.monotonic() - begun
    server.kill()
    server.wait()
    return code, seconds
alone = call_when_stopped(KEEPALIVE)
both = call_when_stopped([*KEEPALIVE, ("grpc.http2.ping_timeout_ms", 1000)])
print(f"keepalive alone: {alone[0].name} after {alone[1]:.1f} s")
print(f"with http2.ping_timeout_ms: {both[0].name} after {both[1]:.1f} s")
assert alone[0] is grpc.StatusCode.DEADLINE_EXCEEDED, "changed: keepalive_timeout_ms ends the call"
assert both[0] is grpc.StatusCode.UNAVAILABLE, "changed: ping_timeout_ms does not end the call"
END
venv/bin/python check.py
