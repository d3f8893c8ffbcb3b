"""The two shapes in which an operator runs Valkey or Redis, started for a test: one server, and a
pair watched by sentinels. Nothing is kept on disk unless it is asked for.

Each shape has `url` (a STORE_URL), `flush` (forget all data) and `intact` (nothing of what a test
may do to it has been left behind: every process is there and in the role that it had at first).
A test that changes the configuration of a server starts one for itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.valkey.process import PLAIN, Server
from tests.support.valkey.sentinels import SentinelTrio, sentinel_trio

__all__ = ["SentinelTrio", "Server", "sentinel_trio", "standalone"]


@contextmanager
def standalone(
    folder: Path, *, appendonly: bool = False, extra: Sequence[str] = ()
) -> Iterator[Server]:
    """One server; `appendonly` lets it survive `kill`. `extra` is more of its command line."""
    keeps = ("--appendonly", "yes" if appendonly else "no")
    with Server(folder, *PLAIN, *keeps, *extra) as server:
        server.start()
        yield server
