"""What several processes count is told as one: each slot played by this process in turn."""

import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Gauge, values

from app.errors import StartupError
from app.telemetry import shared_metrics
from app.telemetry.metrics import Metrics, Record
from tests.support.valkey import ports


@pytest.fixture(autouse=True)
def _alone_again() -> Iterator[None]:
    """Lets this process count for itself again afterwards."""
    alone = values.ValueClass
    yield
    values.ValueClass = alone
    values.close_all_multiprocess_files()
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


@pytest.fixture
def port() -> Iterator[int]:
    with ports.reserve() as reserved:
        yield ports.number(reserved)


def silent(_event: str, **_fields: Any) -> None:
    pass


def worker(folder: Path, slot: int) -> Record:
    shared_metrics.count_into(folder, slot)
    return Metrics().counting(silent)


def told(port: int, name: str) -> list[float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (.*)$", text, flags=re.MULTILINE)
    return [float(value) for value in found]


def test_counts_and_times_of_all_slots_are_added_up(port: int) -> None:
    with shared_metrics.served("127.0.0.1", port) as folder:
        for slot in range(3):
            record = worker(folder, slot)
            record("session_opened", session_id="session-a")
            record("exchange", outcome="ok", duration_ms=500)

        assert told(port, "ticketgate_session_events_total") == [3]
        assert told(port, "ticketgate_upstream_exchange_seconds_count") == [3]
        assert told(port, "ticketgate_upstream_exchange_seconds_sum") == [1.5]


def test_who_takes_over_a_slot_counts_on_in_the_same_files(port: int) -> None:
    with shared_metrics.served("127.0.0.1", port) as folder:
        worker(folder, 0)("session_opened", session_id="session-a")
        files = set(folder.iterdir())

        shared_metrics.forget_live_values(folder, 0)
        worker(folder, 0)("session_opened", session_id="session-b")

        assert told(port, "ticketgate_session_events_total") == [2]
        assert set(folder.iterdir()) == files


def test_what_is_only_true_of_the_living_goes_with_the_dead(port: int) -> None:
    with shared_metrics.served("127.0.0.1", port) as folder:
        for slot in range(2):
            shared_metrics.count_into(folder, slot)
            Gauge("busy", "", multiprocess_mode="livesum", registry=None).set(1)
        assert told(port, "busy") == [2]

        shared_metrics.forget_live_values(folder, 0)

        assert told(port, "busy") == [1]


def test_without_memory_to_share_the_folder_is_where_temporary_files_go(
    port: int, tmp_path: Path
) -> None:
    with shared_metrics.served("127.0.0.1", port, memory=tmp_path / "missing") as folder:
        worker(folder, 0)("session_opened", session_id="session-a")

        assert told(port, "ticketgate_session_events_total") == [1]

    assert not folder.exists()


def test_a_place_that_cannot_be_written_to_is_refused_in_one_line(
    port: int, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(StartupError, match=r"^METRICS_PORT: .*/dev/shm"),
        shared_metrics.served("127.0.0.1", port, memory=tmp_path / "file"),
    ):
        raise AssertionError


def test_without_a_metrics_port_there_is_nothing_to_forget() -> None:
    shared_metrics.forget_live_values(None, 0)
