"""Schemathesis sends requests made from the OpenAPI description; the API must conform to it.

All of its checks run over every operation, with a credential and without, and over sequences of
operations. `make test-all` tries a few cases of each.
`make fuzz` tries 2,000 cases; then a response may take at most one second, as the client measures
it. On a busy machine, compare with `duration_ms` in the service's log.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import CheckFailureInfo
from schemathesis.schemas import BaseSchema

from tests.api.routes import BY_SERVICE_KEY, DESCRIBED, FOR_BEARERS, OAUTH, WITH_BODY
from tests.e2e.conftest import Service
from tests.fuzz.target import SETTINGS, App, described_by, sign_in

pytestmark = pytest.mark.long
UNIT = ("examples", "coverage", "fuzzing")
CASES = int(os.environ.get("FUZZ_CASES", "0")) or None
OPERATIONS = [
    pytest.param(path, method, id=f"{method}-{path}")
    for path, methods in DESCRIBED.items()
    for method in sorted(methods - {"HEAD"})
]
GUARDED = [each for each in OPERATIONS if each.values in FOR_BEARERS | BY_SERVICE_KEY]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("fuzzed")
        service = Service(folder, "sandbox", {"PORT": "0", **SETTINGS}, stack)
        service.start()
        yield service


def of(service: Service, path: str | None = None) -> BaseSchema:
    return described_by(
        service,
        cases=CASES,
        has_body=path is None or path in WITH_BODY | OAUTH,
        any_method=path == "/authz",
    )


def told(found: CheckFailureInfo) -> str:
    return f"{found.failure.title}: {found.failure.message}\n{found.code_sample}"


def failures(described: BaseSchema, *phases: str) -> tuple[int, list[str]]:
    for name in (*UNIT, "stateful"):
        described.config.phases.get_by_name(name=name).enabled = name in phases
    responses, wrong = 0, []
    for event in from_schema(described).execute():
        if isinstance(event, events.NonFatalError):
            wrong.append(str(event.value))
        elif isinstance(event, events.ScenarioFinished):
            responses += len(event.recorder.interactions)
            for checks in event.recorder.checks.values():
                wrong += [told(c.failure_info) for c in checks if c.failure_info is not None]
    return responses, wrong


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_keeps_to_its_description(service: Service, path: str, method: str) -> None:
    described = of(service, path)
    sign_in(described, App(service))
    responses, wrong = failures(described.include(path=path, method=method), *UNIT)
    assert wrong == []
    assert responses > 5


@pytest.mark.parametrize(("path", "method"), GUARDED)
def test_a_request_without_a_credential_is_refused_as_described(
    service: Service, path: str, method: str
) -> None:
    described = of(service, path).include(path=path, method=method)
    responses, wrong = failures(described, *UNIT)
    assert wrong == []
    assert responses > 5


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed-in", "anonymous"])
def test_values_of_one_response_work_in_other_requests(
    service: Service, *, signed_in: bool
) -> None:
    described = of(service)
    if signed_in:
        sign_in(described, App(service))
    responses, wrong = failures(described, "stateful")
    assert wrong == []
    assert responses > 5
