"""The parts of STORE_URL at work: database, user and password, TLS and its CA file."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import StartupError
from app.sessions.outcomes import Active
from tests.stores.builders import NOW, keep, make_session
from tests.stores.redis.opening import SESSION, fails, fields_of, opened
from tests.support.authority import Authority
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import SentinelTrio, Server, sentinel_trio, standalone

PASSWORD = "made-up p@ss/word:1[?#%"
QUOTED = "made-up%20p%40ss%2Fword:1[%3F%23%25"


SECRET = "hunter2hunter2"


async def test_the_number_after_the_slash_is_the_database(valkey: Server) -> None:
    async with opened(f"{valkey.url}/3") as third, opened(valkey.url) as first:
        await keep(third, make_session(SESSION))
        assert isinstance(await third.sessions.touch(SESSION, 0, NOW), Active)
        assert not isinstance(await first.sessions.touch(SESSION, 0, NOW), Active)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A server with a password for the default user, and with the user `gate`."""
    with standalone(tmp_path) as server:
        server.cli(
            "ACL", "SETUSER", "gate", "on", f">{PASSWORD}", "~{tg}:*", "+@all", "-@dangerous"
        )
        server.cli("ACL", "SETUSER", "gate", "+info")
        server.cli("CONFIG", "SET", "requirepass", PASSWORD)
        yield server


def with_login(server: Server, login: str) -> str:
    return server.url.replace("://", f"://{login}@")


@pytest.mark.parametrize("user", ["", "gate", "default"])
async def test_the_right_password_is_accepted(guarded: Server, user: str) -> None:
    async with opened(with_login(guarded, f"{user}:{QUOTED}")) as store:
        await store.maintenance.check_writable()


@pytest.mark.parametrize("login", ["", ":wrong@", "gate:wrong@", "unknown:wrong@"])
async def test_a_wrong_password_makes_the_store_unavailable(guarded: Server, login: str) -> None:
    events = RecordedEvents()
    async with opened(guarded.url.replace("://", f"://{login}"), events) as store:
        assert await fails(store.maintenance.check_writable())
        assert await fails(store.sessions.touch(SESSION, 0, NOW))
    assert set(fields_of(events, "store_failed")) <= {"AuthenticationError", "ResponseError"}


# --- TLS ---


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.mark.parametrize("identifiers", [True, False], ids=["key identifiers", "none"])
async def test_rediss_trusts_a_server_with_a_certificate_of_the_ca_file(
    valkey: Server, tmp_path: Path, *, identifiers: bool
) -> None:
    authority = Authority(tmp_path / "authority", identifiers=identifiers)
    with Proxy(valkey.port, tls=authority.server()) as proxy:
        async with opened(proxy.url, ca_file=authority.file) as store:
            await keep(store, make_session(SESSION))
            assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)


@pytest.mark.parametrize("wrong", ["authority", "no CA file", "name", "expired"])
async def test_a_server_with_an_invalid_certificate_gets_no_command(
    valkey: Server, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    name = "127.0.0.2" if wrong == "name" else "127.0.0.1"
    context = authority.server(address=name, days_left=-1 if wrong == "expired" else 1)
    stranger = Authority(tmp_path / "stranger")
    ca_file = {"authority": stranger.file, "no CA file": None}.get(wrong, authority.file)
    with Proxy(valkey.port, tls=context) as proxy:
        async with opened(proxy.url, ca_file=ca_file) as store:
            assert await fails(store.maintenance.check_writable())
        assert proxy.commands == []


@pytest.mark.parametrize("url", ["rediss://{}", "rediss+sentinel://{}/tickets"])
async def test_the_ca_file_is_the_only_trust(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    events = RecordedEvents()
    system = Authority(tmp_path / "system")
    monkeypatch.setenv("SSL_CERT_FILE", str(system.file))
    with Proxy(1, tls=system.server()) as proxy:
        address = url.format(f"127.0.0.1:{proxy.port}")
        async with opened(address, events, ca_file=authority.file) as store:
            assert await fails(store.maintenance.check_writable())
        assert proxy.opened == 0
    assert set(fields_of(events, "store_failed")) == {"SSLCertVerificationError"}


async def test_rediss_sends_nothing_in_plain_text(valkey: Server) -> None:
    with Proxy(valkey.port) as proxy:
        url = proxy.url.replace("redis://", f"rediss://:{SECRET}@")
        async with opened(url) as store:
            assert await fails(store.maintenance.check_writable())
        assert not any(SECRET.encode() in command for command in proxy.commands)


@pytest.mark.parametrize("text", [None, "", "not a certificate", "\x80"])
async def test_an_invalid_ca_file_is_refused_at_the_start(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text, "latin-1")
    with pytest.raises(StartupError) as refused:
        async with opened("rediss://127.0.0.1:1", ca_file=file):
            pass
    assert str(refused.value) == f"STORE_CA_FILE: {file} is not a readable CA bundle"


async def test_sentinels_are_asked_over_tls_with_the_ca_file(authority: Authority) -> None:
    greetings: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greetings.append(await reader.read(1))  # after the TLS handshake
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=authority.server())
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"rediss+sentinel://127.0.0.1:{port}/tickets"
        async with opened(url, ca_file=authority.file) as store:
            assert await fails(store.maintenance.check_writable())
    assert b"*" in greetings


async def test_the_master_gets_the_password_and_sentinels_do_not(tmp_path: Path) -> None:
    with sentinel_trio(tmp_path) as trio:
        trio.master.cli("CONFIG", "SET", "requirepass", PASSWORD)
        async with opened(trio.url.replace("://", f"://:{QUOTED}@")) as store:
            await store.maintenance.check_writable()


@pytest.mark.parametrize(
    "given", [PASSWORD, *(pytest.param(each, marks=pytest.mark.long) for each in ("wrong", None))]
)
async def test_sentinels_that_ask_for_a_password_get_theirs(
    tmp_path: Path, given: str | None
) -> None:
    events = RecordedEvents()
    with sentinel_trio(tmp_path) as trio:
        for sentinel in trio.sentinels:
            sentinel.cli("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")
        async with opened(trio.url, events, sentinel_password=given) as store:
            assert await fails(store.maintenance.check_writable()) is (given != PASSWORD)
    refused = set(fields_of(events, "store_failed"))
    assert refused == (set() if given == PASSWORD else {"AuthenticationError"})


async def test_a_service_that_no_sentinel_knows_is_no_master(
    valkey_sentinels: SentinelTrio,
) -> None:
    events = RecordedEvents()
    async with opened(f"{valkey_sentinels.url}-unknown", events) as store:
        assert await fails(store.maintenance.check_writable())
    assert set(fields_of(events, "store_failed")) == {"MasterNotFoundError"}


async def test_a_unix_socket_needs_no_port(tmp_path: Path) -> None:
    socket = tmp_path / "valkey.sock"
    with standalone(tmp_path, extra=["--unixsocket", str(socket)]) as server:
        server.cli("CONFIG", "SET", "requirepass", PASSWORD)
        async with opened(f"redis+unix://:{QUOTED}@{socket}") as store:
            await keep(store, make_session(SESSION))
            assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)
