"""Metrics of several processes as if they were one.

Each worker counts into files of its own in a folder in memory, and one exposition adds them up. The
files belong to a slot, not to a process: who replaces a dead worker counts on where that one was,
so no count is lost and crashes do not fill the folder.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.errors import StartupError
from app.telemetry import metrics

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where the library looks for it
_MEMORY = Path("/dev/shm")  # noqa: S108  # the folder in it has a random name and mode 0700


def count_into(folder: Path, slot: int) -> None:
    """From now on, let what this process counts be added up with what the other slots count.

    To be called before there are metrics. No living process may have the same slot.
    """
    os.environ[_FOLDER_VARIABLE] = str(folder)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: slot)


def forget_live_values(folder: Path | None, slot: int) -> None:
    """Drop what is only true of a living process. Counts stay."""
    if folder is not None:
        mark_process_dead(slot, str(folder))


@contextmanager
def served(host: str, port: int, memory: Path = _MEMORY) -> Iterator[Path]:
    """Serve the sums at `/metrics` while the context is open; gives the folder to count into.

    The folder is made in `memory`, or where temporary files go if that is not there.

    Raises:
        StartupError: the port cannot be listened on, or nothing can be written.
    """
    with _folder(memory) as folder:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(folder))
        with metrics.served(registry, host, port):
            yield folder


@contextmanager
def _folder(memory: Path) -> Iterator[Path]:
    # Not on a disk if there is memory: a count must not wait for one.
    place = memory if os.access(memory, os.W_OK) else None
    try:
        made = TemporaryDirectory(
            prefix="ticketgate-metrics-", dir=place, ignore_cleanup_errors=True
        )
    except OSError as error:
        reason = f"with WORKERS it needs /dev/shm or /tmp to write to: {error.strerror}"
        raise StartupError(f"METRICS_PORT: {reason}") from error
    with made as name:
        yield Path(name)
