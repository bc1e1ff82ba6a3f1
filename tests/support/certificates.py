"""A certificate authority of a test's own, and certificates of it as files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from landmarks.security.tls import Tls

# What the certificates of all parts carry beside their addresses, as docs/security.md makes them.
SERVER_NAME = "landmarks.internal"
ADDRESSES = ("localhost", "127.0.0.1", "127.0.0.2", SERVER_NAME)


@dataclass(frozen=True)
class Files:
    """Where a certificate, its key and the CA that is trusted are."""

    certificate: Path
    key: Path
    ca: Path

    @property
    def tls(self) -> Tls:
        return Tls(
            self.certificate,
            self.key,
            self.ca,
            demands_client_certificates=True,
            server_name=SERVER_NAME,
        )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a process that has them."""
        return {
            "tls_certificate": str(self.certificate),
            "tls_key": str(self.key),
            "tls_ca": str(self.ca),
            "tls_server_name": SERVER_NAME,
        }


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(
        self, name: str, *, expired: bool = False, addresses: tuple[str, ...] = ADDRESSES
    ) -> Files:
        """Issue a certificate; of the same name as before, it takes that one's place."""
        now = datetime.now(UTC)
        until = now - timedelta(days=1) if expired else now + timedelta(days=1)
        issued = self._ca.issue_cert(
            *addresses, common_name=name, not_before=now - timedelta(days=2), not_after=until
        )
        files = Files(self._folder / f"{name}.pem", self._folder / f"{name}.key", self.file)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        for path, data in ((files.key, issued.private_key_pem.bytes()), (files.certificate, chain)):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.replace(path)
        return files

    def serial(self, files: Files) -> int:
        """Return the number of the certificate that is in the file now."""
        from cryptography import x509

        return x509.load_pem_x509_certificate(files.certificate.read_bytes()).serial_number


def served_serial(address: str, files: Files) -> int:
    """Return the number of the certificate that a server shows now to a client with `files`."""
    import socket
    import ssl

    from cryptography import x509

    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=files.ca)
    context.load_cert_chain(files.certificate, files.key)
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number
