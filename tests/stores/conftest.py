"""An engine over a table of notes, because the engine is generic."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from app.errors import StartupError
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


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Opens a file that must be refused, and returns the one line of the refusal."""

    def refuse(path: Path, *, migrations: Sequence[str] = (SCHEMA,)) -> str:
        with pytest.raises(StartupError) as caught:
            SqliteEngine(path, migrations).close()
        line = str(caught.value)
        assert line.startswith("STORE_URL: ")
        assert "\n" not in line
        return line

    return refuse
