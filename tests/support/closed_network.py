"""A network that leads nowhere and writes down who wanted to leave.

`python closed_network.py RECORD COMMAND…` runs a command in it. Its resolver knows no name;
every address is this machine's, where nobody listens. RECORD becomes a JSON list of
the names that were looked up and the foreign addresses that were written to. It makes its own
network and file system namespaces, for which Linux asks no rights of root where it lets users have
namespaces of their own.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_ALL_PROTOCOLS = 0x0003
_LOOPBACK_MULTICAST = ipaddress.ip_network("ff02::/16")  # Linux's own, of every interface


def who_wanted_to_leave(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path
) -> set[str]:
    """Run `command` in a closed network until it ends; return the names and addresses.

    Raises AssertionError with what it printed if it fails.
    """
    record = folder / "left.json"
    inside = ["unshare", "--map-root-user", "--net", "--mount", sys.executable, __file__, record]
    result = subprocess.run([*inside, *command], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, (result.stdout + result.stderr)[-8000:]
    found: list[str] = json.loads(record.read_text())
    return {*found}


def can_be_closed() -> str:
    """Return why there can be no such network here; empty if there can."""
    try:
        made = subprocess.run(
            ["unshare", "--map-root-user", "--net", "--mount", "ip", "link", "set", "lo", "up"],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return f"this user may make no namespaces: {made.stderr.strip()}" if made.returncode else ""


def _close(resolver: Path) -> None:
    """Bring up loopback, route every address to it, and be the resolver."""
    for words in ("link set lo up", "route add local default dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    # Where the kernel has no IPv6, nothing can leave by it.
    subprocess.run(["ip", "-6", "route", "add", "local", "default", "dev", "lo"], check=False)
    resolver.write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
    subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)


def _resolve(port: socket.socket, asked: set[str]) -> None:
    while True:
        query, caller = port.recvfrom(4096)
        asked.add(_name_in(query))
        # The same question, and the answer that there is no such name.
        port.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:], caller)


def _name_in(query: bytes) -> str:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode(errors="replace"))
        at += 1 + length
    return ".".join(labels)


def _listen(packets: socket.socket, addresses: set[str]) -> None:
    while True:
        packet = packets.recv(65535)[14:]  # after the frame's own header
        match packet[0] >> 4 if packet else 0:
            case 4:
                target = ipaddress.ip_address(packet[16:20])
            case 6:
                target = ipaddress.ip_address(packet[24:40])
            case _:
                continue
        if not (target.is_loopback or (target.version == 6 and target in _LOOPBACK_MULTICAST)):
            addresses.add(str(target))


def main() -> int:
    """Run the command of the arguments; return its exit status."""
    record, *command = sys.argv[1:]
    wanted: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        _close(Path(folder) / "resolv.conf")
        resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        resolver.bind(("127.0.0.1", 53))
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        packets.bind(("lo", 0))
        for work, port in ((_resolve, resolver), (_listen, packets)):
            threading.Thread(target=work, args=(port, wanted), daemon=True).start()
        status = subprocess.run(command, env=os.environ).returncode
    Path(record).write_text(json.dumps(sorted(wanted)))
    return status


if __name__ == "__main__":
    sys.exit(main())
