"""Simulates a full disk: no file of this process can grow past a size."""

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


def no_room_to_grow(database: Path) -> AbstractContextManager[None]:
    """Keep the write-ahead log of the database from growing; more writes are an error."""
    return file_size_limit(database.with_name(database.name + "-wal").stat().st_size)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let every write beyond this size fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal that goes with this limit, so a write fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
