"""Acknowledged sessions survive `kill -9` of the process."""

import subprocess
import sys
from pathlib import Path

from app.sessions.outcomes import Active, Unknown
from app.stores.sqlite import open_sqlite_store
from tests.stores.builders import NOW

ROOT = Path(__file__).parents[2]
MODULE = "tests.stores.acknowledging_writer"


def _killed_while_writing(path: Path, after: int) -> list[str]:
    """Returns the names that the program acknowledged before it was killed."""
    command = [sys.executable, "-m", MODULE, str(path)]
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
