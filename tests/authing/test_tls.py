"""Certificates on real sockets, in addition to the table in tests/upstream."""

import asyncio
import ssl
from pathlib import Path

import pytest

from app.authing.transport import AuthingTransport
from app.errors import AuthingUntrusted
from tests.authing.builders import TICKET, USER_ID, authing, json_response, make_user, peer
from tests.support.authority import Authority

GOOD = json_response(make_user())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_a_certificate_of_the_ca_file_is_trusted(authority: Authority) -> None:
    async with (
        peer(GOOD, tls=authority.server()) as seen,
        authing(seen.url, ca_file=authority.file) as client,
    ):
        assert (await client.exchange(TICKET)).subject == USER_ID


async def test_the_trust_store_of_the_environment_is_not_read(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("SSL_CERT_DIR", str(authority.file.parent))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    async with (
        peer(GOOD, tls=authority.server()) as seen,
        authing(seen.url, ca_file=None) as client,
    ):
        with pytest.raises(AuthingUntrusted):
            await client.exchange(TICKET)


async def test_session_keys_are_not_written_to_a_file_of_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key_log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(key_log))
    async with (
        peer(GOOD, tls=authority.server()) as seen,
        authing(seen.url, ca_file=authority.file) as client,
    ):
        await client.exchange(TICKET)
    assert not key_log.exists()


async def test_a_ca_file_replaces_the_public_authorities(authority: Authority) -> None:
    own = AuthingTransport(authority.file)
    public = AuthingTransport(None)
    assert len(own.tls.get_ca_certs()) == 1
    assert len(public.tls.get_ca_certs()) > 50


def test_tls_begins_at_1_2(authority: Authority) -> None:
    transport = AuthingTransport(authority.file)
    assert transport.tls.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "words",
    [b"\x15\x03\x01\x00\x02\x02\x46", b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    ids=["only_older_tls", "no_tls"],
)
async def test_a_host_without_tls_1_2_is_untrusted(words: bytes, authority: Authority) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(words)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, authing(url, ca_file=authority.file) as client:
        with pytest.raises(AuthingUntrusted):
            await client.exchange(TICKET)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_an_unusable_ca_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OSError):  # noqa: PT011  # ssl's own, of several texts
        AuthingTransport(file)
