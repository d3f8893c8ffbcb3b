"""The parts of STORE_URL at work: the store, database, user and password, TLS and its CA file."""

import asyncio
import sys
from pathlib import Path

import pytest

from app.errors import StartupError
from app.sessions.outcomes import Active, Unknown
from app.store_url import parse_store_url
from app.stores import open_store
from tests.stores.redis.opening import fields_of, opened
from tests.stores.steps import add, check_writable, fails, play, run, touch
from tests.support.authority import Authority
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import SentinelTrio, Server, sentinel_trio, standalone

PASSWORD = "made-up p@ss/word:1[?#%"
QUOTED = "made-up%20p%40ss%2Fword:1[%3F%23%25"
SECRET = "hunter2hunter2"


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports of `redis` fail as if it were not installed."""
    monkeypatch.setitem(sys.modules, "redis", None)


async def test_sqlite_does_not_need_the_redis_client(
    without_the_extra: None, tmp_path: Path
) -> None:
    file = tmp_path / "sessions.db"
    async with open_store(parse_store_url(f"sqlite:///{file}"), RecordedEvents()) as store:
        await store.maintenance.check_writable()
    assert file.exists()


async def test_redis_without_its_client_is_refused_in_one_line(without_the_extra: None) -> None:
    with pytest.raises(StartupError) as refused:
        async with open_store(parse_store_url("redis://127.0.0.1"), RecordedEvents()):
            pass
    assert str(refused.value) == 'STORE_URL: Redis needs the extra "redis" of this package'


async def test_the_number_after_the_slash_is_the_database(valkey: Server) -> None:
    async with opened(f"{valkey.url}/3") as third, opened(valkey.url) as first:
        await play(third, (add(), []), (touch(0), Active))
        await play(first, (touch(0), Unknown))


@pytest.fixture
def guarded(server: Server) -> Server:
    """A server with a password for the default user, and with the user `gate`."""
    rules = ("on", f">{PASSWORD}", "~{tg}:*", "+@all", "-@dangerous", "+info")
    server.cli("ACL", "SETUSER", "gate", *rules)
    server.cli("CONFIG", "SET", "requirepass", PASSWORD)
    return server


@pytest.mark.parametrize("user", ["", "gate", "default"])
async def test_the_right_password_is_accepted(guarded: Server, user: str) -> None:
    async with opened(guarded.url.replace("://", f"://{user}:{QUOTED}@")) as store:
        await run(store, check_writable())


@pytest.mark.parametrize("login", ["", ":wrong@", "gate:wrong@", "unknown:wrong@"])
async def test_a_wrong_password_makes_the_store_unavailable(
    guarded: Server, events: RecordedEvents, login: str
) -> None:
    async with opened(guarded.url.replace("://", f"://{login}"), events) as store:
        assert await fails(check_writable()(store))
        assert await fails(touch(0)(store))
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
            await play(store, (add(), []), (touch(0), Active))


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
            assert await fails(check_writable()(store))
        assert proxy.commands == []


@pytest.mark.parametrize("url", ["rediss://{}", "rediss+sentinel://{}/tickets"])
async def test_the_ca_file_is_the_only_trust(
    authority: Authority,
    events: RecordedEvents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
) -> None:
    system = Authority(tmp_path / "system")
    monkeypatch.setenv("SSL_CERT_FILE", str(system.file))
    with Proxy(1, tls=system.server()) as proxy:
        address = url.format(f"127.0.0.1:{proxy.port}")
        async with opened(address, events, ca_file=authority.file) as store:
            assert await fails(check_writable()(store))
        assert proxy.opened == 0
    assert set(fields_of(events, "store_failed")) == {"SSLCertVerificationError"}


async def test_rediss_sends_nothing_in_plain_text(proxy: Proxy) -> None:
    url = proxy.url.replace("redis://", f"rediss://:{SECRET}@")
    async with opened(url) as store:
        assert await fails(check_writable()(store))
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
            assert await fails(check_writable()(store))
    assert b"*" in greetings


async def test_the_master_gets_the_password_and_sentinels_do_not(tmp_path: Path) -> None:
    with sentinel_trio(tmp_path) as trio:
        trio.master.cli("CONFIG", "SET", "requirepass", PASSWORD)
        async with opened(trio.url.replace("://", f"://:{QUOTED}@")) as store:
            await run(store, check_writable())


@pytest.mark.parametrize(
    "given", [PASSWORD, *(pytest.param(each, marks=pytest.mark.long) for each in ("wrong", None))]
)
async def test_sentinels_that_ask_for_a_password_get_theirs(
    tmp_path: Path, events: RecordedEvents, given: str | None
) -> None:
    with sentinel_trio(tmp_path) as trio:
        for sentinel in trio.sentinels:
            sentinel.cli("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")
        async with opened(trio.url, events, sentinel_password=given) as store:
            assert await fails(check_writable()(store)) is (given != PASSWORD)
    refused = set(fields_of(events, "store_failed"))
    assert refused == (set() if given == PASSWORD else {"AuthenticationError"})


async def test_a_service_that_no_sentinel_knows_is_no_master(
    valkey_sentinels: SentinelTrio, events: RecordedEvents
) -> None:
    async with opened(f"{valkey_sentinels.url}-unknown", events) as store:
        assert await fails(check_writable()(store))
    assert set(fields_of(events, "store_failed")) == {"MasterNotFoundError"}


async def test_a_unix_socket_needs_no_port(tmp_path: Path) -> None:
    socket = tmp_path / "valkey.sock"
    with standalone(tmp_path, extra=["--unixsocket", str(socket)]) as server:
        server.cli("CONFIG", "SET", "requirepass", PASSWORD)
        async with opened(f"redis+unix://:{QUOTED}@{socket}") as store:
            await play(store, (add(), []), (touch(0), Active))
