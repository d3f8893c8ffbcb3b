"""The address chooses the store, and SQLite does without Redis' client."""

import sys
from pathlib import Path

import pytest

from app.errors import StartupError
from app.stores.factory import open_store
from tests.stores.redis.opening import Notes


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python says that a package is not installed."""
    monkeypatch.setitem(sys.modules, "redis", None)


async def test_sqlite_needs_no_client_of_redis(without_the_extra: None, tmp_path: Path) -> None:
    file = tmp_path / "sessions.db"
    async with open_store(f"sqlite:///{file}", ca_file=None, record=Notes()) as store:
        await store.maintenance.check_writable()
    assert file.exists()


async def test_redis_without_its_client_is_refused_in_one_line(without_the_extra: None) -> None:
    with pytest.raises(StartupError) as refused:
        async with open_store("redis://127.0.0.1", ca_file=None, record=Notes()):
            pass
    assert str(refused.value) == 'STORE_URL: Redis needs the extra "redis" of this package'
