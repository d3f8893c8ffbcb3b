"""STORE_URL chooses the store. SQLite works without the Redis client."""

import sys
from pathlib import Path

import pytest

from app.errors import StartupError
from app.store_url import parse_store_url
from app.stores import open_store
from tests.support.fakes import RecordedEvents


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
