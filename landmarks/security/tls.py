"""TLS and mutual TLS from PEM files, for our servers and channels.

A server reads its files again when they change, at the next handshake, so certificates can be
rotated while it runs. A channel keeps the files it was opened with; a new `Tls.stamp` means that
it must be reopened.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import structlog

from landmarks.errors import ConfigurationError

_log = structlog.get_logger(__name__)

# The version of a file: time of change, size, inode. Mounted secrets are replaced
# as a whole, which changes the inode.
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Pem:
    """The contents of the files of `Tls`; None if there is no such file."""

    certificate: bytes | None
    key: bytes | None
    ca: bytes | None


@dataclass(frozen=True)
class Tls:
    """The files of one process: its certificate, the key, and the CA that it trusts.

    `server_name` is the name in the certificates of the servers it calls, if it is not the host of
    their address.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    demands_client_certificates: bool = False
    server_name: str = ""

    @property
    def serves(self) -> bool:
        """Whether a server of this process speaks TLS."""
        return self.certificate is not None

    @property
    def mutual(self) -> bool:
        """Whether a server of this process requires client certificates of the CA."""
        return self.serves and self.demands_client_certificates

    @property
    def calls(self) -> bool:
        """Whether channels of this process speak TLS."""
        return self.ca is not None

    def of_itself(self) -> Tls:
        """Return the files to call this process's own server with; its certificate is trusted."""
        return replace(self, ca=self.ca or self.certificate) if self.serves else NO_TLS

    def stamp(self) -> Stamp:
        """Return the version of the files, which changes when one of them is replaced."""
        return _stamp_of([path for path in (self.certificate, self.key, self.ca) if path])

    def check(self) -> None:
        """Raise ConfigurationError if a file cannot be read, or key and certificate differ."""
        pair_checked(self.certificate, self.key)
        if self.ca is not None:
            ca_checked(self.ca)

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return the credentials of a server, which follow the files.

        Raises ConfigurationError if they cannot be used now. If new files
        cannot be used later, that is logged, and the old ones stay in use.
        """
        self.check()
        files = _FollowedFiles(self)
        return grpc.dynamic_ssl_server_credentials(
            files.configuration(),
            # None if nothing has changed, as gRPC documents and its stub does not.
            files.configuration_if_changed,  # type: ignore[arg-type]
            require_client_authentication=self.mutual,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return the credentials of a channel; raises ConfigurationError if a file is bad."""
        files = self.contents()
        return grpc.ssl_channel_credentials(files.ca, files.key, files.certificate)

    def contents(self) -> Pem:
        """Return what is in the files; raises ConfigurationError if a file is bad."""
        self.check()
        return Pem(_read(self.certificate), _read(self.key), _read(self.ca))

    def ssl_context(self) -> ssl.SSLContext:
        """Return the context of an HTTPS server, which follows the files as gRPC's does.

        It requires no certificate of a browser. Raises ConfigurationError.
        """
        self.check()
        files = _FollowedFiles(self)
        made = [self._context()]

        def follow(connection: ssl.SSLObject, _name: str | None, _made: ssl.SSLContext) -> None:
            if files.changed():
                with suppress(OSError):  # replaced again in between; the next handshake reads it
                    made[0] = self._context()
            connection.context = made[0]

        made[0].sni_callback = follow
        return made[0]

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


NO_TLS = Tls()


class _FollowedFiles:
    """The callbacks that gRPC calls at each handshake, from its own threads."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._used = tls.stamp()
        self._warned = False

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        files = self._tls.contents()
        return grpc.ssl_server_certificate_configuration(
            [(files.key or b"", files.certificate or b"")],
            root_certificates=files.ca if self._tls.mutual else None,
        )

    def configuration_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        return self.configuration() if self.changed() else None

    def changed(self) -> bool:
        """Return whether the files have changed, and can be used."""
        with self._lock:
            try:
                now = self._tls.stamp()
                if now == self._used:
                    return False
                self._tls.check()
            except ConfigurationError as error:
                # Between the writing of two files they do not match; the next handshake retries.
                if not self._warned:
                    _log.error("the old certificate stays in use", reason=str(error))
                self._warned = True
                return False
            self._used, self._warned = now, False
            _log.info("certificate read again", file=str(self._tls.certificate))
            return True


def pair_checked(certificate: Path | None, key: Path | None) -> None:
    """Raise ConfigurationError if the two are not PEM files that belong together."""
    if certificate is None or key is None:
        return
    _read(certificate), _read(key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{certificate} and {key} are not a certificate and its key, in PEM form and without a"
            f" passphrase: {error.reason or error}"
        ) from error


def ca_checked(ca: Path) -> None:
    """Raise ConfigurationError if there is no certificate in the file."""
    _read(ca)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{ca} has no certificate in PEM form to trust: {error.reason or error}"
        ) from error


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error


def _stamp_of(paths: Sequence[Path]) -> Stamp:
    try:
        found = [path.stat() for path in paths]
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename} cannot be read: {error.strerror or error}"
        ) from error
    return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)
