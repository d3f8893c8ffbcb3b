"""Traces are on only if OpenTelemetry's variables ask for them, and never stop the start."""

import json
import sys

import pytest

from app.commands.serve import _tracing
from app.errors import StartupError
from app.telemetry import logs
from tests.support.logging_state import logging_left_as_found

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "ticketgate"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        ENDPOINT | {"OTEL_SDK_DISABLED": "True"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=str,
)
def test_nothing_is_traced_unless_the_variables_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "app.telemetry.tracing", None)  # an import would fail
    with _tracing() as (trace, traced):
        assert trace is None
        assert traced(app := object()) is app  # type: ignore[arg-type]  # any object


def test_a_value_that_opentelemetry_refuses_is_one_line_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "999999")  # more than the queue holds
    with pytest.raises(StartupError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT: \D+$"), _tracing():
        raise AssertionError


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_without_the_extra_one_line_says_so_and_the_service_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "app.telemetry.tracing", None)
    with logging_left_as_found():
        logs.configure("info", "json")
        with _tracing() as (trace, _):
            assert trace is None
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["level"], found["event"]) == ("warning", "tracing_unavailable")
    assert found["setting"] == name
