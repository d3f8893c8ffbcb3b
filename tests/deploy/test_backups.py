"""Sessions outlive the disk of their store, by each kind of backup in docs/operations.md."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from typing_extensions import override

from tests.soak.phone import App
from tests.soak.run import environment
from tests.support.processes import ROOT, soon
from tests.support.programs import program, run, started
from tests.support.valkey.process import ProgramMissing
from tests.support.valkey.servers import Server, standalone

pytestmark = pytest.mark.long
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")


def command(start: str, folder: Path) -> list[str]:
    """The command of the page that begins so, with this machine's Python, files and folder."""
    (found,) = re.findall(rf"^{re.escape(start)}.*$", PAGE, re.MULTILINE)
    here = found.replace("/var/lib/ticketgate", str(folder)).replace("/backup", str(folder / "b"))
    return ["bash", "-ec", here.replace("python3", sys.executable)]


class Copy:
    """A consistent copy of the SQLite file, beside the running service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "sessions.db"
        self.url = f"sqlite:///{self.file}"
        (folder / "b").mkdir()

    def take(self) -> None:
        """Take the backup of everything that is acknowledged now."""
        copying = command('python3 -c "import sqlite3; sqlite3.connect', self.folder)
        subprocess.run(copying, check=True)

    def restore(self) -> None:
        """Lose the disk of the store, and put the backup in its place."""
        for file in self.folder.glob("sessions.db*"):
            file.unlink()
        self.put_back()

    def put_back(self) -> None:
        subprocess.run(command("cp /backup/sessions.db", self.folder), check=True)


class Litestream(Copy):
    """A replica that follows the SQLite file."""

    @override
    def take(self) -> None:
        soon(self._is_replicated)

    @override
    def put_back(self) -> None:
        self._restore_to(self.file)

    def _is_replicated(self) -> bool:
        copy = self.folder / "copy"
        copy.unlink(missing_ok=True)
        self._restore_to(copy)
        return generations(copy) == generations(self.file)

    def _restore_to(self, file: Path) -> None:
        run("litestream", "restore", "-o", file, f"file://{self.folder / 'replica'}")


def generations(file: Path) -> dict[str, int]:
    """The generation of each session; empty if there is no file yet."""
    if not file.exists():
        return {}
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT id, generation FROM sessions"))


class AppendOnlyFile:
    """The append-only files of a Valkey that is stopped for the copy."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url
        self.files = server.folder / "appendonlydir"
        self.backup = server.folder.with_name("backup")

    def take(self) -> None:
        self.server.kill()
        shutil.copytree(self.files, self.backup)
        self.server.start()

    def restore(self) -> None:
        self.server.kill()
        shutil.rmtree(self.server.folder)
        self.server.folder.mkdir()
        self.put_back()
        self.server.start()

    def put_back(self) -> None:
        shutil.copytree(self.backup, self.files)


class Snapshot(AppendOnlyFile):
    """A snapshot (RDB), which a server with an append-only file would not read by itself."""

    @override
    def take(self) -> None:
        self.server.cli("SAVE")
        shutil.copy(self.server.folder / "dump.rdb", self.backup)

    @override
    def put_back(self) -> None:
        shutil.copy(self.backup, self.server.folder / "dump.rdb")
        for start in ("mkdir appendonlydir", "echo 'file appendonly"):
            subprocess.run(command(start, self.server.folder), cwd=self.server.folder, check=True)


@contextmanager
def replicated(folder: Path) -> Iterator[Litestream]:
    """Litestream beside a file that does not exist yet."""
    replica = f"file://{folder / 'replica'}"
    replicate = [program("litestream"), "replicate", str(folder / "sessions.db"), replica]
    with started(replicate, folder / "litestream", lambda: True):
        yield Litestream(folder)


Backup: TypeAlias = Copy | AppendOnlyFile


@pytest.fixture(params=["copy", "litestream", "append-only file", "snapshot"])
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backup]:
    if request.param == "copy":
        yield Copy(tmp_path)
    elif request.param == "litestream":
        with replicated(tmp_path) as litestream:
            yield litestream
    else:
        kind = Snapshot if request.param == "snapshot" else AppendOnlyFile
        try:
            with standalone(tmp_path / "valkey", appendonly=True) as server:
                yield kind(server)
        except ProgramMissing as missing:
            pytest.skip(str(missing))


async def refresh_all(apps: Sequence[App]) -> None:
    """Each app refreshes, and uses its new access token."""
    await asyncio.gather(*(app.refresh() for app in apps))
    await asyncio.gather(*(app.look() for app in apps))


async def test_sessions_outlive_the_disk_of_their_store(tmp_path: Path, backup: Backup) -> None:
    async with environment(tmp_path, seed=1, STORE_URL=backup.url) as running:
        service, apps = running.running.service, running.apps
        await running.signed_in(20)
        await refresh_all(apps)
        await refresh_all(apps)

        await asyncio.to_thread(backup.take)
        await apps[0].look()  # the service goes on
        await service.kill()
        await asyncio.to_thread(backup.restore)
        await service.start()

        await refresh_all(apps)
        assert [app.ended for app in apps if app.ended] == []
        assert (service.rolled_forward(), service.bugs()) == (0, 0)
