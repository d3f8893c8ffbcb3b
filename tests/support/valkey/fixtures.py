"""The servers as fixtures, for every folder of tests: started when first asked for, empty for
every test, and started anew after a test that has killed, frozen or demoted one of them.

The session's servers are one set for every worker of pytest-xdist.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Generic, TypeVar

import pytest

from tests.support.valkey.process import ProgramMissing
from tests.support.valkey.servers import SentinelTrio, Server, sentinel_trio, standalone

S = TypeVar("S", bound=Server | SentinelTrio)


class Kept(Generic[S]):
    """A shape that every test gets empty and intact."""

    def __init__(
        self, start: Callable[[Path], AbstractContextManager[S]], folders: pytest.TempPathFactory
    ) -> None:
        self._start = start
        self._folders = folders
        self._stack = ExitStack()
        self._shape: S | None = None

    def lend(self) -> S:
        if self._shape is None or not self._shape.intact:
            self.close()
            try:
                shape = self._stack.enter_context(self._start(self._folders.mktemp("valkey")))
            except ProgramMissing as missing:
                pytest.skip(str(missing))
            self._shape = shape
        self._shape.flush()
        return self._shape

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def _valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept[Server]]:
    with closing(Kept(standalone, tmp_path_factory)) as kept:
        yield kept


@pytest.fixture(scope="session")
def _valkey_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept[SentinelTrio]]:
    with closing(Kept(sentinel_trio, tmp_path_factory)) as kept:
        yield kept


@pytest.fixture
def valkey(_valkey: Kept[Server]) -> Server:
    """One empty server."""
    return _valkey.lend()


@pytest.fixture
def valkey_sentinels(_valkey_sentinels: Kept[SentinelTrio]) -> SentinelTrio:
    """An empty pair under three sentinels, none of which has seen a failover."""
    return _valkey_sentinels.lend()
