"""Every form of STORE_URL, what is refused, and that TLS, password and database are real."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from app.stores.redis.address import RedisAddress, parse

from app.errors import StartupError
from app.sessions.outcomes import Active
from app.stores.factory import open_store
from tests.stores.builders import NOW, keep, make_session
from tests.stores.redis.opening import SESSION, Notes, fails, opened
from tests.support.valkey.authority import Authority
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server, standalone

PASSWORD = "made-up p@ss/word:1"
QUOTED = "made-up%20p%40ss%2Fword%3A1"


def address(
    *hosts: tuple[str, int],
    kind: str = "",
    path: str = "",
    tls: bool = False,
    user: str | None = None,
    password: str | None = None,
) -> RedisAddress:
    return RedisAddress(kind, hosts, path, tls=tls, user=user, password=password)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("redis://cache", address(("cache", 6379))),
        ("redis://cache:6380/", address(("cache", 6380))),
        ("redis://10.0.0.1:6380/15", address(("10.0.0.1", 6380), path="15")),
        ("rediss://cache.example", address(("cache.example", 6379), tls=True)),
        ("redis://[fd00::1]:6380", address(("fd00::1", 6380))),
        ("redis://[::1]", address(("::1", 6379))),
        (f"redis://:{QUOTED}@cache", address(("cache", 6379), password=PASSWORD)),
        ("redis://gate:pw@cache", address(("cache", 6379), user="gate", password="pw")),
        (
            "redis+sentinel://a,b:26380,[::1]/mymaster",
            address(("a", 26379), ("b", 26380), ("::1", 26379), kind="+sentinel", path="mymaster"),
        ),
        (
            "rediss+sentinel://u:p@a:1/m",
            address(("a", 1), kind="+sentinel", path="m", tls=True, user="u", password="p"),
        ),
        ("redis+cluster://a,b:7001", address(("a", 6379), ("b", 7001), kind="+cluster")),
        ("rediss+cluster://a/", address(("a", 6379), kind="+cluster", tls=True)),
    ],
)
def test_an_address_means_what_it_says(text: str, meant: RedisAddress) -> None:
    assert parse(text) == meant


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "redis://",
        "redis://:@cache",
        f"redis://{SECRET}@cache",
        f"redis://user:{SECRET}@",
        f"redis://user:{SECRET}@a@b",
        f"redis://:{SECRET}#@cache",
        f"redis://cache?password={SECRET}",
        f"redis://cache/{SECRET}",
        "redis://cache/1234",
        "redis://cache/-1",
        "redis://cache/0/1",
        "redis://a,b",
        "redis://cache:",
        "redis://cache:0",
        "redis://cache:65536",
        "redis://cache:6379x",
        "redis://[fd00::1",
        "redis://fd00::1",
        "redis://ca che",
        "redis+sentinel://a,b",
        "redis+sentinel://a,b/",
        "redis+sentinel://a,,b/mymaster",
        "redis+cluster://a,b/0",
        "redis+unix://cache",
        "unix:///var/run/redis.sock",
    ],
)
async def test_what_is_no_address_is_refused_in_one_line_that_quotes_nothing(text: str) -> None:
    with pytest.raises(StartupError) as refused:
        async with opened(text):
            pass
    line = str(refused.value)
    assert line.startswith("STORE_URL: must ")
    assert "\n" not in line
    assert SECRET not in line


def test_neither_user_nor_password_show_in_a_repr() -> None:
    shown = repr(parse(f"redis://hugo:{SECRET}@cache"))
    assert SECRET not in shown
    assert "hugo" not in shown


# --- the parts at work ---


async def test_the_number_after_the_slash_is_the_database(valkey: Server) -> None:
    async with opened(f"{valkey.url}/3") as third, opened(valkey.url) as first:
        await keep(third, make_session(SESSION))
        assert isinstance(await third.sessions.touch(SESSION, 0, NOW), Active)
        assert not isinstance(await first.sessions.touch(SESSION, 0, NOW), Active)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A server with a password for everybody, and a user of its own."""
    with standalone(tmp_path) as server:
        server.cli("ACL", "SETUSER", "gate", "on", f">{PASSWORD}", "~tg:*", "+@all", "-@dangerous")
        server.cli("ACL", "SETUSER", "gate", "+info")
        server.cli("CONFIG", "SET", "requirepass", PASSWORD)
        yield server


def with_login(server: Server, login: str) -> str:
    return server.url.replace("://", f"://{login}@")


@pytest.mark.parametrize("user", ["", "gate", "default"])
async def test_who_knows_the_password_gets_in(guarded: Server, user: str) -> None:
    async with opened(with_login(guarded, f"{user}:{QUOTED}")) as store:
        await store.maintenance.check_writable()


@pytest.mark.parametrize("login", ["", ":wrong@", "gate:wrong@", "nobody:wrong@"])
async def test_who_does_not_is_not_ready_and_says_so(guarded: Server, login: str) -> None:
    notes = Notes()
    async with opened(guarded.url.replace("://", f"://{login}"), notes) as store:
        assert await fails(store.maintenance.check_writable())
        assert await fails(store.sessions.touch(SESSION, 0, NOW))
    assert set(notes.of("store_failed")) <= {"AuthenticationError", "ResponseError"}


# --- TLS ---


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


async def test_rediss_speaks_tls_to_a_server_that_the_ca_file_vouches_for(
    valkey: Server, authority: Authority
) -> None:
    with Proxy(valkey.port, tls=authority.server()) as proxy:
        async with open_store(proxy.url, ca_file=authority.file, record=Notes()) as store:
            await keep(store, make_session(SESSION))
            assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)


@pytest.mark.parametrize("wrong", ["authority", "no CA file", "name", "expired"])
@pytest.mark.parametrize("kind", ["", "+cluster"])
async def test_a_server_that_cannot_prove_who_it_is_gets_no_command(
    valkey: Server, authority: Authority, tmp_path: Path, wrong: str, kind: str
) -> None:
    name = "127.0.0.2" if wrong == "name" else "127.0.0.1"
    context = authority.server(address=name, days_left=-1 if wrong == "expired" else 1)
    stranger = Authority(tmp_path / "stranger")
    ca_file = {"authority": stranger.file, "no CA file": None}.get(wrong, authority.file)
    with Proxy(valkey.port, tls=context) as proxy:
        url = proxy.url.replace("rediss", f"rediss{kind}")
        async with opened(url, ca_file=ca_file) as store:
            assert await fails(store.maintenance.check_writable())
        assert proxy.commands == []


async def test_a_server_without_tls_is_not_spoken_to_in_plain(valkey: Server) -> None:
    with Proxy(valkey.port) as proxy:
        url = proxy.url.replace("redis://", f"rediss://:{SECRET}@")
        async with opened(url) as store:
            assert await fails(store.maintenance.check_writable())
        assert not any(SECRET.encode() in command for command in proxy.commands)


@pytest.mark.parametrize("text", [None, "", "not a certificate", "\x80"])
async def test_a_ca_file_that_is_none_is_refused_at_the_start(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text, "latin-1")
    with pytest.raises(StartupError) as refused:
        async with opened("rediss://127.0.0.1:1", ca_file=file):
            pass
    assert str(refused.value) == f"STORE_CA_FILE: {file} is not a readable CA bundle"
