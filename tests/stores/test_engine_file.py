"""Which files the engine opens, and which it refuses and leaves unchanged."""

import asyncio
import sqlite3
import stat
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from app.errors import StartupError
from app.stores.sqlite.engine import SqliteEngine
from tests.stores.engine_table import SCHEMA, Command, read_all, write

Make: TypeAlias = Callable[[Path], object]
LATER = "ALTER TABLE notes ADD COLUMN author TEXT"


def run(file: Path, *commands: Command, migrations: Sequence[str] = (SCHEMA,)) -> list[Any]:
    """Open the file, run the commands, and close it."""
    with closing(SqliteEngine(file, migrations)) as engine:
        return [asyncio.run(engine.run(command)) for command in commands]


def refusal(file: Path, *, migrations: Sequence[str] = (SCHEMA,)) -> str:
    """The one line by which the file is refused."""
    with pytest.raises(StartupError) as caught:
        run(file, migrations=migrations)
    line = str(caught.value)
    assert line.startswith("STORE_URL: ")
    assert "\n" not in line
    return line


# --- opened ---


def test_the_files_are_made_for_their_owner_only(engine: SqliteEngine, file: Path) -> None:
    asyncio.run(engine.run(write("a")))
    names = ["notes.db", "notes.db-shm", "notes.db-wal", "notes.db.lock"]
    assert sorted(path.name for path in file.parent.iterdir()) == names
    assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}


def test_missing_folders_are_made_also_behind_a_link(file: Path) -> None:
    target = file.parent / "data" / "deeper" / "notes.db"
    file.symlink_to(target)
    run(file)
    assert target.is_file()


def test_an_empty_file_is_initialised(file: Path) -> None:
    file.touch()
    assert run(file, write("a")) == [1]


def test_written_data_survives_a_restart(file: Path) -> None:
    for text in "abc":
        run(file, write(text))
    assert run(file, read_all) == [["a", "b", "c"]]


# --- in use ---


def test_a_second_opening_by_any_name_is_refused_until_the_first_has_closed(file: Path) -> None:
    alias = file.with_name("alias.db")
    alias.symlink_to(file)
    with closing(SqliteEngine(file, [SCHEMA])) as first:
        assert "in use" in refusal(file)
        assert "in use" in refusal(alias)
        assert asyncio.run(first.run(write("a"))) == 1
    run(file)


# --- not ours ---


def make_damaged(file: Path) -> None:
    run(file)
    file.write_bytes(file.read_bytes()[:1000])


def contains(content: bytes) -> Make:
    return lambda file: file.write_bytes(content)


def of_another_program(version: int) -> Make:
    def make(file: Path) -> None:
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("CREATE TABLE somebody_elses (text)")
            db.execute(f"PRAGMA user_version = {version}")

    return make


REFUSED: dict[str, tuple[Make, str]] = {
    "no database": (contains(b"garbage " * 1000), "not a SQLite database of ours"),
    "a short text": (contains(b"garb"), "not a SQLite database of ours"),
    "only the beginning": (contains(b"SQLite format 3\0"), "not a SQLite database of ours"),
    "a damaged database": (make_damaged, "not a SQLite database of ours"),
    "another program's, without a version": (of_another_program(0), "of another program"),
    "another program's, of our version": (of_another_program(1), "of another program"),
    "another program's, of a later version": (of_another_program(7), "of another program"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_was(
    file: Path, make: Make, reason: str
) -> None:
    make(file)
    before = file.read_bytes()
    assert reason in refusal(file)
    assert file.read_bytes() == before


def test_a_schema_of_a_newer_version_is_refused_and_stays_usable(file: Path) -> None:
    run(file, migrations=[SCHEMA, LATER])
    assert "newer version (schema 2)" in refusal(file)
    run(file, migrations=[SCHEMA, LATER])


# --- brought up to date ---


def _columns(db: sqlite3.Connection) -> list[str]:
    return [row["name"] for row in db.execute("SELECT name FROM pragma_table_info('notes')")]


def test_a_file_of_an_older_version_is_migrated_with_its_data(file: Path) -> None:
    run(file, write("a"))
    for _ in range(2):  # each step is taken once
        columns, notes = run(file, _columns, read_all, migrations=[SCHEMA, LATER])
        assert (columns, notes) == (["text", "attachment", "author"], ["a"])


def test_a_failed_migration_is_rolled_back(file: Path) -> None:
    run(file, write("a"))
    refusal(file, migrations=[SCHEMA, f"{LATER}; ALTER TABLE missing ADD COLUMN more TEXT"])
    assert run(file, _columns, read_all) == [["text", "attachment"], ["a"]]


# --- not usable ---


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    # A file stands where a folder is needed; permissions would not stop root.
    (tmp_path / "data").write_text("a file")
    assert "cannot write" in refusal(tmp_path / "data" / "notes.db")


def test_a_folder_in_the_place_of_the_file_is_refused(file: Path) -> None:
    file.mkdir()
    refusal(file)


def test_a_database_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "write-ahead" in refusal(Path(":memory:"))
