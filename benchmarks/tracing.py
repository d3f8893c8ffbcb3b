"""What tracing costs: CPU time of a request without and with a collector, measured in turn.

    .venv/bin/python -m benchmarks.tracing

Processes of the service over SQLite, which send their spans to a collector here. Only the ratios
count.
"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx

from tests.commands.environment import minimal, without_settings
from tests.e2e.conftest import Service, running_authing
from tests.support.otlp import collector

ROUNDS = 5
REQUESTS = 2000
UNHINDERED = {"RATE_LIMIT_LOGIN": "999999/second", "RATE_LIMIT_REFRESH": "999999/second"}


def cpu_seconds(pid: int) -> float:
    """The CPU time of the process so far, with a resolution of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def authz(service: Service, token: str) -> None:
    """Ask about one token again and again."""
    for _ in range(REQUESTS):
        response = service.as_bearer("GET", "/authz", token)
        assert response.status_code == httpx.codes.OK


def main() -> None:
    """Print microseconds of CPU time a request."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authing = stack.enter_context(running_authing(folder))
        sent = stack.enter_context(collector())
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": sent.url}
        sampled = {
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.01",
        }
        variants = {
            "off": {},
            "of one request in a hundred": endpoint | sampled,
            "of all": endpoint,
        }
        running = {}
        for name, variables in variants.items():
            (own := folder / name).mkdir()
            settings = {**without_settings(), **minimal(own), **UNHINDERED, **variables}
            settings |= {"AUTHING_BASE_URL": authing.url, "PORT": "0"}
            running[name] = Service(own, "serve", settings, stack)
            running[name].start()
        tokens = {name: service.log_in(authing.ticket()) for name, service in running.items()}
        costs: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(ROUNDS):
            for name, service in running.items():
                before = cpu_seconds(service.program.pid)
                authz(service, tokens[name]["access_token"])
                used = cpu_seconds(service.program.pid) - before
                costs[name].append(used / REQUESTS * 1e6)
        for name, each in costs.items():
            spread = f"({min(each):.0f}-{max(each):.0f})"
            print(f"/authz, tracing {name}: {median(each):.0f} µs of CPU {spread}")


if __name__ == "__main__":
    main()
