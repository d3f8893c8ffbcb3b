"""Acknowledged sessions survive `kill -9` of the process."""

import asyncio
import subprocess
import sys
from pathlib import Path

from app.sessions.outcomes import Active, Unknown
from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store
from tests.stores.builders import NOW, keep, make_session

ROOT = Path(__file__).parents[2]
WRITERS = 8


async def _write(store: Stores, writer: int) -> None:
    number = 0
    while True:
        name = f"session-{writer}-{number}"
        await keep(store, make_session(name))
        print(name, flush=True)  # noqa: T201  # the acknowledgement
        number += 1


async def _write_until_killed(path: Path) -> None:
    with open_sqlite_store(path) as store:
        await asyncio.gather(*(_write(store, writer) for writer in range(WRITERS)))


def _killed_while_writing(path: Path, after: int) -> list[str]:
    """Run this module; return the names that it acknowledged before it was killed."""
    command = [sys.executable, "-m", __name__, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        names = [process.stdout.readline() for _ in range(after)]
        process.kill()
        names += process.stdout.readlines()
    return [name.strip() for name in names if name.endswith("\n")]


async def test_every_acknowledged_session_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    acknowledged = _killed_while_writing(path, after=200)
    assert len(acknowledged) >= 200
    with open_sqlite_store(path) as store:  # the dead process holds no lock
        for name in acknowledged:
            assert isinstance(await store.sessions.touch(name, 0, NOW), Active), name
        assert await store.sessions.touch("session-0-1000000", 0, NOW) == Unknown()


if __name__ == "__main__":
    asyncio.run(_write_until_killed(Path(sys.argv[1])))
