"""TLS and mutual TLS between a server and channels of ours, with real certificates as files."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.errors import ConfigurationError
from landmarks.rpc.channel import open_aio_channel, open_channel
from landmarks.rpc.channel_pool import AsyncChannels, Channels
from landmarks.security.tls import NO_TLS, Tls
from tests.support.certificates import SERVER_NAME, Authority, Files, served_serial
from tests.support.echo import echoing


async def answer() -> str:
    return "hello"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def server(authority: Authority) -> Files:
    return authority.issue("server")


@pytest.fixture
def client(authority: Authority) -> Files:
    return authority.issue("client")


async def asked(address: str, tls: Tls) -> str:
    """Return the answer over a channel of its own, or the code of the failure."""
    async with open_aio_channel(address, tls) as channel:
        return await asked_over(channel)


async def asked_over(channel: grpc.aio.Channel) -> str:
    try:
        said = await EncoderServiceStub(channel).GetModel(pb.GetModelRequest(), timeout=20)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return said.model.name


async def test_two_that_have_certificates_of_one_authority_talk(
    server: Files, client: Files
) -> None:
    async with echoing(answer, server.tls) as address:
        assert await asked(address, client.tls) == "hello"

        def in_a_thread() -> str:
            with open_channel(address, client.tls) as channel:
                said = EncoderServiceStub(channel).GetModel(pb.GetModelRequest(), timeout=20)
            return said.model.name

        assert await asyncio.to_thread(in_a_thread) == "hello"


async def test_a_plaintext_client_is_refused(server: Files) -> None:
    async with echoing(answer, server.tls) as address:
        assert await asked(address, NO_TLS) == "UNAVAILABLE"


async def test_a_client_without_a_certificate_is_refused_where_one_is_demanded(
    server: Files, client: Files
) -> None:
    without = replace(client.tls, certificate=None, key=None)
    async with echoing(answer, server.tls) as address:
        assert await asked(address, without) == "UNAVAILABLE"
    async with echoing(answer, replace(server.tls, demands_client_certificates=False)) as address:
        assert await asked(address, without) == "hello"


async def test_a_client_of_another_authority_is_refused(
    server: Files, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other").issue("stranger")
    async with echoing(answer, server.tls) as address:
        assert await asked(address, replace(stranger.tls, ca=authority.file)) == "UNAVAILABLE"


async def test_a_server_of_another_authority_is_not_trusted(client: Files, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other").issue("stranger")
    tls = replace(stranger.tls, demands_client_certificates=False)
    async with echoing(answer, tls) as address:
        assert await asked(address, client.tls) == "UNAVAILABLE"


async def test_a_server_of_another_name_is_not_trusted(
    authority: Authority, server: Files, client: Files
) -> None:
    other = authority.issue("other", addresses=("elsewhere.example",))
    async with echoing(answer, other.tls) as address:
        assert await asked(address, client.tls) == "UNAVAILABLE"
    async with echoing(answer, server.tls) as address:  # and by its address it is known as well
        assert await asked(address, replace(client.tls, server_name="")) == "hello"


async def test_an_expired_certificate_is_refused_on_either_side(
    authority: Authority, server: Files, client: Files
) -> None:
    expired = authority.issue("expired", expired=True)
    async with echoing(answer, server.tls) as address:
        assert await asked(address, expired.tls) == "UNAVAILABLE"
        assert await asked(address, client.tls) == "hello"
    async with echoing(answer, expired.tls) as address:
        assert await asked(address, client.tls) == "UNAVAILABLE"


async def test_a_server_takes_a_new_certificate_without_a_restart(
    authority: Authority, server: Files, client: Files
) -> None:
    first = authority.serial(server)
    async with echoing(answer, server.tls) as address:
        async with open_aio_channel(address, client.tls) as before:
            assert await asked_over(before) == "hello"
            assert await asyncio.to_thread(served_serial, address, client) == first
            authority.issue("server")
            second = authority.serial(server)
            assert second != first
            assert await asyncio.to_thread(served_serial, address, client) == second
            assert await asked_over(before) == "hello"  # nobody is thrown out by it
        assert await asked(address, client.tls) == "hello"


async def test_files_that_do_not_match_leave_the_old_certificate_in_use(
    authority: Authority, server: Files, client: Files
) -> None:
    first = authority.serial(server)
    async with echoing(answer, server.tls) as address:
        server.certificate.write_bytes(client.certificate.read_bytes())  # the key is another's
        assert await asyncio.to_thread(served_serial, address, client) == first
        server.key.unlink()
        assert await asyncio.to_thread(served_serial, address, client) == first
        authority.issue("server")
        assert await asyncio.to_thread(served_serial, address, client) == authority.serial(server)


async def test_a_new_authority_is_trusted_beside_the_old_one_and_then_alone(
    authority: Authority, server: Files, client: Files, tmp_path: Path
) -> None:
    newer = Authority(tmp_path / "newer")
    stranger = replace(newer.issue("newer").tls, ca=authority.file)
    old = authority.file.read_bytes()
    async with echoing(answer, server.tls) as address:
        assert await asked(address, stranger) == "UNAVAILABLE"
        authority.file.write_bytes(old + newer.file.read_bytes())
        assert await asked(address, stranger) == "hello"
        assert await asked(address, client.tls) == "hello"
        authority.file.write_bytes(newer.file.read_bytes())
        trusting_both = tmp_path / "both.pem"
        trusting_both.write_bytes(old + newer.file.read_bytes())
        assert await asked(address, replace(client.tls, ca=trusting_both)) == "UNAVAILABLE"
        assert await asked(address, replace(stranger, ca=trusting_both)) == "hello"


async def test_a_caller_goes_on_with_its_new_certificate_without_a_restart(
    authority: Authority, server: Files
) -> None:
    caller = authority.issue("caller", expired=True)
    channels, for_threads = AsyncChannels(caller.tls), Channels(caller.tls)
    async with echoing(answer, server.tls) as address:
        assert await asked_over(channels.get(address)) == "UNAVAILABLE"
        before = for_threads.get(address)
        assert for_threads.get(address) is before
        authority.issue("caller")
        assert await asked_over(channels.get(address)) == "hello"
        assert for_threads.get(address) is not before
        caller.key.unlink()
        assert await asked_over(channels.get(address)) == "hello"
        await channels.close()
        await asyncio.to_thread(for_threads.close)


def spoil(file: Path, how: str) -> None:
    file.unlink()
    if how == "nonsense":
        file.write_text("no PEM\n")


@pytest.mark.parametrize("spoilt", ["certificate", "key", "ca"])
@pytest.mark.parametrize("how", ["absent", "nonsense"])
async def test_a_file_that_cannot_be_used_is_named_at_the_start(
    server: Files, spoilt: str, how: str
) -> None:
    file: Path = getattr(server, spoilt)
    spoil(file, how)
    with pytest.raises(ConfigurationError, match=file.name):
        async with echoing(answer, server.tls):
            pass
    with pytest.raises(ConfigurationError, match=file.name):
        open_aio_channel("127.0.0.1:1", server.tls)


def test_several_addresses_need_a_name_that_their_certificates_share(client: Files) -> None:
    target = "ipv4:127.0.0.1:1,127.0.0.2:1"
    with pytest.raises(ConfigurationError, match="LANDMARKS_TLS_SERVER_NAME"):
        open_channel(target, replace(client.tls, server_name=""))
    open_channel(target, replace(client.tls, server_name=SERVER_NAME)).close()


def test_a_key_with_a_passphrase_is_refused_without_a_prompt(server: Files) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(server.key.read_bytes(), None)
    server.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    code = (
        "import sys; from pathlib import Path; from landmarks.security.tls import Tls;"
        "Tls(*map(Path, sys.argv[1:])).check()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, server.certificate, server.key],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert "without a passphrase" in done.stderr
