"""The servers as fixtures, for every folder of tests: started when first asked for, empty for
every test, and started anew after a test that has killed, frozen or demoted one of them.

The session's servers are one set for every worker of pytest-xdist.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Generic, TypeVar

import pytest

from tests.support.valkey.process import ProgramMissing
from tests.support.valkey.servers import SentinelTrio, Server, sentinel_trio, standalone

S = TypeVar("S", bound=Server | SentinelTrio)


class Kept(Generic[S]):
    """A shape that every test gets empty and intact."""

    def __init__(self, start: Callable[[Path], AbstractContextManager[S]]) -> None:
        self._start = start
        self._stack = ExitStack()
        self._shape: S | None = None

    def lend(self, factory: pytest.TempPathFactory) -> S:
        if self._shape is None or not self._shape.intact:
            self.close()
            self._shape = self._begin(factory.mktemp("valkey"))
        self._shape.flush()
        return self._shape

    def close(self) -> None:
        self._stack.close()
        self._shape = None

    def _begin(self, folder: Path) -> S:
        try:
            return self._stack.enter_context(self._start(folder))
        except ProgramMissing as missing:
            pytest.skip(str(missing))


def _keep(start: Callable[[Path], AbstractContextManager[S]]) -> Iterator[Kept[S]]:
    kept = Kept(start)
    yield kept
    kept.close()


@pytest.fixture(scope="session")
def _valkey() -> Iterator[Kept[Server]]:
    yield from _keep(standalone)


@pytest.fixture(scope="session")
def _valkey_sentinels() -> Iterator[Kept[SentinelTrio]]:
    yield from _keep(sentinel_trio)


@pytest.fixture
def valkey(_valkey: Kept[Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One empty server."""
    return _valkey.lend(tmp_path_factory)


@pytest.fixture
def valkey_sentinels(
    _valkey_sentinels: Kept[SentinelTrio], tmp_path_factory: pytest.TempPathFactory
) -> SentinelTrio:
    """An empty pair under three sentinels, none of which has seen a failover."""
    return _valkey_sentinels.lend(tmp_path_factory)
