"""What Redis stores about users that log in, refresh, log out, are banned and are erased.

The names of keys count too: there are subjects in some.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.store_url import parse_store_url
from tests.stores.dump import Keys
from tests.stores.user_journey import everything_that_happens_to
from tests.support.running_app import RunningApp, running_app
from tests.support.valkey.servers import Server


@pytest.fixture
def keys(valkey: Server) -> Iterator[Keys]:
    with closing(Keys(valkey)) as opened:
        yield opened


@pytest.fixture
async def running(tmp_path: Path, keys: Keys) -> AsyncIterator[RunningApp]:
    limits = {"rate_limit_login": "9999/minute", "rate_limit_refresh": "9999/minute"}
    async with running_app(
        tmp_path, store_url=parse_store_url(keys.url), session_one_per_device_type=True, **limits
    ) as opened:
        yield opened


async def test_an_erased_user_is_gone_from_redis_within_a_second(
    running: RunningApp, keys: Keys
) -> None:
    theirs = await everything_that_happens_to(running, "chen")
    tokens = await everything_that_happens_to(running, "lin")
    subject, other = tokens["user"]["sub"], theirs["user"]["sub"]
    assert keys.dump().holds(subject)

    began = time.monotonic()
    assert (await running.delete("/v1/me", tokens)).status_code == 204
    dump = keys.dump()

    assert time.monotonic() - began < 1
    assert not dump.holds(subject)
    assert dump.holds(other)


async def test_an_ended_session_has_no_profile_in_redis(running: RunningApp, keys: Keys) -> None:
    await everything_that_happens_to(running, "lin")
    sessions = [keys.fields(name) for name in keys.names() if b":session:" in name]
    with_profile = [fields for fields in sessions if b"encrypted_profile" in fields]
    assert len(with_profile) == 1
    assert len(sessions) > len(with_profile)
    assert b"end_reason" not in with_profile[0]
    assert not any(b"key_thumbprint" in fields for fields in sessions)  # the bound one has ended


async def test_every_key_expires_except_a_ban_without_end(running: RunningApp, keys: Keys) -> None:
    tokens = await everything_that_happens_to(running, "lin")
    subject: str = tokens["user"]["sub"]
    for_now = {"reason": "spam", "until": "2030-01-01T00:00:00Z"}
    await running.backend("PUT", subject, "ban", for_now)
    await running.phone.get("/readyz")
    assert keys.without_end() == []

    await running.backend("PUT", subject, "ban", {"reason": "fraud"})

    without_end = sorted(name.split(b":")[1] for name in keys.without_end())
    assert without_end == [b"ban", b"bans"]  # the ban and its entry in the index
