"""A DNS server on loopback, so that a test decides which addresses a name has.

A stack on loopback resolves no names, while replicas that come and go change what one resolves
to. gRPC asks this server for targets such as `dns://127.0.0.1:PORT/encoder.test:50051`; the
system's own lookups of names in `.test` are answered from it too.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_DOMAIN = ".test"
_A, _IN = 1, 1
_OK, _NO_SUCH_NAME = 0x8580, 0x8583


class DnsServer:
    """Answers with the addresses in `zone`; a name that is not there does not exist."""

    def __init__(self) -> None:
        self.zone: dict[str, list[str]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def name(self, host: str) -> str:
        """Return what gRPC resolves `host` by: all of a target but its port."""
        return f"dns://127.0.0.1:{self.port}/{host}"

    def close(self) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(self._answer(query), sender)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12 : at + 5]
        addresses = self.zone.get(".".join(labels).lower())
        asks_ipv4 = struct.unpack("!H", query[at + 1 : at + 3])[0] == _A
        records = [
            struct.pack("!HHHIH", 0xC00C, _A, _IN, 0, 4) + socket.inet_aton(address)
            for address in (addresses or () if asks_ipv4 else ())
        ]
        flags = _OK if addresses else _NO_SUCH_NAME
        header = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        return header + question + b"".join(records)


@contextmanager
def dns_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    """Run a server from which the system resolves names in `.test`."""
    server, real = DnsServer(), socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **options):  # type: ignore[no-untyped-def]
        if not (isinstance(host, str) and host.endswith(_DOMAIN)):
            return real(host, port, *rest, **options)
        if not (addresses := server.zone.get(host)):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [one for address in addresses for one in real(address, port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        yield server
    finally:
        server.close()
