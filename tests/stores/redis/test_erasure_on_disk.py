"""After an erasure, no byte of the append-only file names the user or is their profile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sessions.models import End, EndReason
from app.sessions.ports import SessionLimits
from app.stores.redis.codec import ERASURE
from tests.stores.builders import NOW, ban_of, keep, make_session
from tests.stores.redis.opening import engine_of, fails, fields_of, opened
from tests.support.fakes import RecordedEvents
from tests.support.processes import soon
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server, standalone

USER = "somebody-in-particular"
PROFILE = b"encrypted, but a profile all the same"
PERSONAL = [USER.encode(), PROFILE, b"made-up-phone", b"made-up-tablet"]
PLAIN_TEXT = ["--aof-use-rdb-preamble", "no", "--appendfsync", "always"]
ONE = SessionLimits(max_per_user=1, one_per_device_type=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with standalone(tmp_path, appendonly=True, extra=PLAIN_TEXT) as own:
        yield own


def on_disk(server: Server) -> bytes:
    """The append-only file, once no rewrite is running."""
    soon(lambda: "aof_rewrite_in_progress:0" in server.cli("INFO", "persistence"))
    return b"".join(file.read_bytes() for file in server.folder.rglob("*.aof"))


async def erase_somebody(server: Server, events: RecordedEvents | None = None) -> bytes:
    """Return what is on the disk after the next purge."""
    async with opened(server.url, events) as store:
        await keep(store, make_session("other", subject="somebody-else"))
        for number, device in enumerate(["made-up-phone", "made-up-tablet", "made-up-phone"]):
            session = make_session(
                f"session-{number}", subject=USER, device_type=device, encrypted_profile=PROFILE
            )
            await keep(store, session, ONE)
        await store.sessions.end("session-2", USER, End(EndReason.LOGGED_OUT, NOW))
        await keep(store, make_session("last", subject=USER, encrypted_profile=PROFILE))
        await store.bans.put(ban_of(USER))
        await store.bans.lift(USER, NOW)
        await store.sessions.erase(USER, NOW)
        assert all(word in on_disk(server) for word in PERSONAL)
        await store.maintenance.purge(NOW)
        return on_disk(server)


async def test_the_append_only_file_is_rewritten_after_an_erasure(server: Server) -> None:
    written = await erase_somebody(server)
    assert [word for word in PERSONAL if word in written] == []
    assert b"somebody-else" in written


async def test_it_is_rewritten_once_for_each_erasure(server: Server) -> None:
    await erase_somebody(server)
    async with opened(server.url) as store:
        await keep(store, make_session("again", subject=USER))
        await store.maintenance.purge(NOW)
        assert USER.encode() in on_disk(server)


async def test_an_erasure_during_a_rewrite_waits_for_the_next(server: Server) -> None:
    async with opened(server.url) as store:
        await keep(store, make_session("slow", encrypted_profile=PROFILE, subject=USER))
        server.cli("CONFIG", "SET", "rdb-key-save-delay", "300000")
        server.cli("BGREWRITEAOF")
        await store.sessions.erase(USER, NOW)
        await store.maintenance.purge(NOW)
        server.cli("CONFIG", "SET", "rdb-key-save-delay", "0")
        assert USER.encode() in on_disk(server)
        await store.maintenance.purge(NOW)
        assert USER.encode() not in on_disk(server)


async def test_a_server_that_permits_no_rewrite_is_reported_once(server: Server) -> None:
    events = RecordedEvents()
    server.cli("ACL", "SETUSER", "default", "-bgrewriteaof")
    written = await erase_somebody(server, events)
    assert USER.encode() in written
    async with opened(server.url, events) as store:
        await store.maintenance.purge(NOW)
    assert fields_of(events, "store_failed") == ["NoPermissionError"]


async def test_an_erasure_waits_for_a_server_that_is_away(server: Server) -> None:
    async with opened(server.url) as store:
        await keep(store, make_session("a", subject=USER))
        await store.sessions.erase(USER, NOW)
        server.kill()
        assert await fails(store.maintenance.purge(NOW))
        server.start()
        engine_of(store)._fail_fast_until = float("-inf")
        await store.maintenance.purge(NOW)
        assert USER.encode() not in on_disk(server)


async def test_a_rewrite_whose_replies_are_lost_is_asked_for_again(server: Server) -> None:
    with Proxy(server.port) as proxy:
        async with opened(proxy.url) as store:
            await store.sessions.erase(USER, NOW)
            proxy.lose_reply(b"^BGREWRITEAOF", times=2)
            assert await fails(store.maintenance.purge(NOW))
            assert server.cli("EXISTS", ERASURE) == 1
            on_disk(server)
            await store.maintenance.purge(NOW)
            assert server.cli("EXISTS", ERASURE) == 0


async def test_a_server_without_an_append_only_file_writes_none(tmp_path: Path) -> None:
    with standalone(tmp_path) as server:
        async with opened(server.url) as store:
            await store.sessions.erase(USER, NOW)
            await store.maintenance.purge(NOW)
        soon(lambda: "aof_rewrite_in_progress:0" in server.cli("INFO", "persistence"))
        assert list(server.folder.rglob("*.aof")) == []
