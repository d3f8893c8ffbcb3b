"""Certificates on real sockets, in addition to the table in tests/upstream."""

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


@pytest.mark.parametrize("tls", [False, True])
async def test_proxies_and_passwords_of_the_environment_are_not_used(
    *, tls: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login made password up\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    context = authority.server() if tls else None
    async with peer(GOOD) as proxy, peer(GOOD, tls=context) as seen:
        for name in ("NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            for spelling in (name, name.lower()):
                monkeypatch.setenv(spelling, "" if name == "NO_PROXY" else proxy.url)
        async with authing(seen.url, ca_file=authority.file) as client:
            assert (await client.exchange(TICKET)).subject == USER_ID
        assert proxy.connections == 0
        assert "authorization" not in seen.requests[0].headers


async def test_a_certificate_of_the_ca_file_is_trusted_and_no_session_key_is_written(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key_log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(key_log))
    async with (
        peer(GOOD, tls=authority.server()) as seen,
        authing(seen.url, ca_file=authority.file) as client,
    ):
        assert (await client.exchange(TICKET)).subject == USER_ID
    assert not key_log.exists()


def test_a_ca_file_replaces_the_public_authorities_and_tls_begins_at_1_2(
    authority: Authority,
) -> None:
    own, public = AuthingTransport(authority.file).tls, AuthingTransport(None).tls
    assert len(own.get_ca_certs()) == 1
    assert len(public.get_ca_certs()) > 50
    assert own.minimum_version is public.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_an_unusable_ca_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OSError):  # noqa: PT011  # ssl's own, of several texts
        AuthingTransport(file)
