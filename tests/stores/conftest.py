"""An engine over a table of notes, because the engine is generic."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.stores.sqlite.engine import SqliteEngine
from tests.stores.engine_table import SCHEMA


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
def engine(file: Path) -> Iterator[SqliteEngine]:
    opened = SqliteEngine(file, [SCHEMA])
    yield opened
    opened.close()
