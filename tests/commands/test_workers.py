"""Several workers under a supervisor, as real processes that are sent real signals.

The workers are stubs with a real server (stub_worker.py). The whole service over a real store is
in tests/e2e/test_workers.py.
"""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.commands import supervisor
from app.commands.supervisor import next_pause
from app.config import Settings, load_settings
from app.errors import StartupError
from tests.commands.conftest import Shell
from tests.commands.environment import minimal, without_settings
from tests.commands.stub_worker import REFUSAL
from tests.support.processes import ROOT, Program, soon
from tests.support.valkey import ports

SCRIPT = str(ROOT / "tests" / "commands" / "supervised.py")
FOREVER = 180.0
PROMPTLY = 60.0
"""Seconds for what takes few; less than FOREVER, which it must not wait for."""


def is_alive(pid: int) -> bool:
    """Whether it runs; who is dead and not buried yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return not Path("/proc/self").exists()


@dataclass
class Fleet:
    """A supervisor and its workers, and clients that each use a connection of their own."""

    program: Program
    url: str
    folder: Path
    threads: ThreadPoolExecutor

    @property
    def everybody(self) -> list[int]:
        """All workers that there have been, the latest last."""
        return [int(pid) for pid in re.findall(r"^worker (\d+)$", self.program.out, re.MULTILINE)]

    @property
    def living(self) -> list[int]:
        return [pid for pid in self.everybody if is_alive(pid)]

    def ask(self, path: str = "/") -> tuple[int, str]:
        """Who answers, and whether it is `serving` or `draining`."""
        with httpx.Client(trust_env=False, timeout=FOREVER) as client:
            pid, state = client.get(self.url + path).text.split()
        return int(pid), state

    def ask_slowly(self, path: str = "/hold") -> tuple[int, Future[tuple[int, str]]]:
        """Begin a request; who has it, and the answer to come."""
        answer = self.threads.submit(self.ask, path)
        return int(self.program.line_with(f"asked {path}").split()[-1]), answer

    def release(self) -> None:
        (self.folder / "release").touch()

    def is_draining(self) -> bool:
        return self.ask()[1] == "draining"

    def refuses(self) -> bool:
        try:
            self.ask()
        except httpx.TransportError:
            return True
        return False

    def logged(self, event: str) -> list[str]:
        return [line for line in self.program.out.splitlines() if f'"event": "{event}"' in line]

    def wait_until_serving(self, count: int) -> None:
        """Wait until so many workers have begun to serve since the beginning."""

        def look() -> bool:
            assert self.program.runs_for(0), self.program.out + self.program.err
            return len(self.logged("serving")) >= count

        soon(look)


Start = Callable[..., Fleet]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts a supervisor over stubs, with nothing of the machine's settings."""
    programs: list[Program] = []

    def launch(workers: int, *options: str, **settings: str) -> Program:
        environment = without_settings() | minimal(tmp_path)
        environment |= {"PORT": "0", "DRAIN_DELAY": "0", **settings}
        arguments = (SCRIPT, f"--workers={workers}", *options)
        programs.append(Program(tmp_path, *arguments, environment=environment))
        return programs[-1]

    yield launch
    for program in programs:
        program.close()


@pytest.fixture
def start(tmp_path: Path, launch: Callable[..., Program]) -> Iterator[Start]:
    """Starts one and waits until all workers serve."""
    fleets: list[Fleet] = []
    with ThreadPoolExecutor() as threads:

        def start(workers: int = 2, **settings: str) -> Fleet:
            program = launch(workers, **settings)
            port = json.loads(program.line_with('"serving"'))["port"]
            fleets.append(Fleet(program, f"http://127.0.0.1:{port}", tmp_path, threads))
            fleets[-1].wait_until_serving(workers)
            return fleets[-1]

        yield start
        for fleet in fleets:
            fleet.release()
            fleet.program.close()
            for pid in fleet.living:
                os.kill(pid, signal.SIGKILL)


# --- serving ---


def test_there_are_as_many_workers_as_asked_for_and_they_share_the_address(start: Start) -> None:
    fleet = start(4)
    assert len(fleet.living) == 4

    _, first = fleet.ask_slowly("/stuck")
    answers = {fleet.ask()[0] for _ in range(5)}  # who is stuck does not stand in the way

    assert not first.done()
    assert answers <= set(fleet.living)
    for pid in fleet.living:
        os.kill(pid, signal.SIGKILL)
    assert isinstance(first.exception(), httpx.TransportError)


# --- leaving ---


def test_after_sigterm_all_say_so_at_once_serve_on_and_then_leave_with_success(
    start: Start,
) -> None:
    delay = 2
    fleet = start(DRAIN_DELAY=str(delay))
    assert not fleet.is_draining()

    asked_to_leave = time.monotonic()
    fleet.program.send(signal.SIGTERM)
    soon(fleet.is_draining)

    assert all(fleet.is_draining() for _ in range(10))
    assert time.monotonic() - asked_to_leave < delay
    assert fleet.program.wait() == 0
    assert time.monotonic() - asked_to_leave >= delay
    assert fleet.living == []
    assert fleet.logged("worker_died") == []
    assert len(fleet.logged("stopped")) == 1
    assert fleet.program.err == ""


def test_a_signal_that_reaches_workers_too_counts_once(start: Start) -> None:
    delay = 2
    fleet = start(DRAIN_DELAY=str(delay))

    asked_to_leave = time.monotonic()
    fleet.program.send(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):  # as systemd does, and a terminal
        for pid in fleet.living:
            os.kill(pid, number)

    assert fleet.program.wait() == 0
    assert time.monotonic() - asked_to_leave >= delay


def test_a_second_sigterm_does_not_wait_for_the_delay(start: Start) -> None:
    fleet = start(DRAIN_DELAY=str(int(FOREVER)))
    fleet.program.send(signal.SIGTERM)
    soon(fleet.is_draining)

    fleet.program.send(signal.SIGTERM)

    assert fleet.program.wait(PROMPTLY) == 0


def test_ctrl_c_does_not_wait_for_the_delay(start: Start) -> None:
    fleet = start(DRAIN_DELAY=str(int(FOREVER)))

    fleet.program.send(signal.SIGINT)

    assert fleet.program.wait(PROMPTLY) == 0
    assert fleet.program.err == ""


def test_a_request_in_flight_is_finished_after_nothing_new_is_accepted(start: Start) -> None:
    fleet = start()
    pid, answer = fleet.ask_slowly()

    fleet.program.send(signal.SIGTERM)
    soon(fleet.refuses)
    assert not answer.done()
    fleet.release()

    assert answer.result() == (pid, "draining")
    assert fleet.program.wait() == 0


def test_who_is_told_to_leave_while_workers_are_being_started_leaves(
    launch: Callable[..., Program],
) -> None:
    program = launch(2)
    program.line_with("worker ")

    program.send(signal.SIGTERM)

    assert program.wait(PROMPTLY) == 0


def test_a_worker_that_does_not_leave_in_its_time_is_killed(start: Start) -> None:
    fleet = start(SHUTDOWN_TIMEOUT="1")
    pid, _ = fleet.ask_slowly("/stuck")

    fleet.program.send(signal.SIGTERM)

    assert fleet.program.wait(PROMPTLY) == 0
    assert not is_alive(pid)


# --- dying ---


def test_a_worker_that_is_killed_is_replaced_and_the_others_answer_meanwhile(start: Start) -> None:
    fleet = start()
    victim = fleet.living[0]

    os.kill(victim, signal.SIGKILL)
    soon(lambda: not is_alive(victim))
    answers = [fleet.ask()[1] for _ in range(20)]
    fleet.wait_until_serving(3)

    assert answers == ["serving"] * 20
    assert len(fleet.living) == 2
    (died,) = fleet.logged("worker_died")
    assert '"reason": "SIGKILL"' in died


def test_a_worker_that_cannot_be_replaced_yet_is_tried_again_while_others_serve(
    start: Start,
) -> None:
    fleet = start()
    (fleet.folder / "refuse").touch()
    os.kill(fleet.living[0], signal.SIGKILL)
    soon(lambda: '"reason": "exit_2"' in fleet.program.out)
    assert fleet.ask()[1] == "serving"

    (fleet.folder / "refuse").unlink()
    fleet.wait_until_serving(3)

    assert len(fleet.living) == 2


def test_workers_that_never_come_up_are_given_up(
    tmp_path: Path, launch: Callable[..., Program]
) -> None:
    (tmp_path / "refuse").touch()

    program = launch(2)

    assert program.wait(PROMPTLY) == 1
    assert set(program.err.splitlines()) == {f"ticketgate: {REFUSAL}"}


def test_a_machine_that_starts_no_process_is_given_up(launch: Callable[..., Program]) -> None:
    program = launch(2, "--python=/nonexistent/python")

    assert program.wait(PROMPTLY) == 1
    assert '"reason": "not_started"' in program.out
    assert program.err == ""


def test_the_pause_before_a_replacement_grows_while_they_die_young() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause(pauses[-1], lived=1))

    assert pauses[1:] == [1, 2, 4, 8, 16, 30, 30]
    assert next_pause(30, lived=60) == 1


# --- the end of the supervisor ---


def test_workers_leave_when_their_supervisor_is_killed(start: Start) -> None:
    fleet = start(DRAIN_DELAY=str(int(FOREVER)))
    workers = fleet.living

    fleet.program.kill()
    soon(lambda: not any(map(is_alive, workers)), PROMPTLY)

    assert fleet.refuses()
    assert fleet.program.err == ""


def test_even_a_worker_that_is_stuck_does_not_outlive_its_supervisor_for_long(
    start: Start,
) -> None:
    fleet = start()
    stuck, _ = fleet.ask_slowly("/stuck")

    fleet.program.kill()

    soon(lambda: not is_alive(stuck), PROMPTLY)


def test_a_request_in_flight_is_finished_when_the_supervisor_is_killed(start: Start) -> None:
    fleet = start()
    pid, answer = fleet.ask_slowly()

    fleet.program.kill()
    soon(fleet.refuses)
    fleet.release()

    assert answer.result() == (pid, "draining")


# --- metrics ---


@pytest.fixture
def port() -> Iterator[int]:
    with ports.reserve() as reserved:
        yield ports.number(reserved)


def metrics_of(port: int) -> str:
    with httpx.Client(trust_env=False, timeout=FOREVER) as client:
        return client.get(f"http://127.0.0.1:{port}/metrics").text


def requests_counted(port: int) -> float:
    name = 'ticketgate_request_seconds_count{method="GET",route="/",status="200"}'
    found = re.search(rf"^{re.escape(name)} (.*)$", metrics_of(port), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_requests_to_all_workers_are_counted_together_also_those_to_the_dead(
    start: Start, port: int
) -> None:
    fleet = start(4, METRICS_PORT=str(port))
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: fleet.ask(), range(100)))
    assert requests_counted(port) == 100

    for victim in fleet.living[:2]:
        os.kill(victim, signal.SIGKILL)
    fleet.wait_until_serving(6)
    for _ in range(50):
        fleet.ask()

    assert requests_counted(port) == 150


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_workers_count_in_is_gone_with_them(
    start: Start, port: int, end: signal.Signals
) -> None:
    fleet = start(METRICS_PORT=str(port))
    fleet.ask()
    made = Path(fleet.program.line_with("counts in").split()[-1])
    assert made.stat().st_mode & 0o777 == 0o700

    fleet.program.send(end)
    soon(lambda: fleet.living == [], PROMPTLY)

    soon(lambda: not made.exists(), PROMPTLY)


# --- refusals, before there is any worker ---


def two_workers(**given: Any) -> Settings:
    settings = load_settings(Settings, env_file=None, secrets_dir=None, **given)
    return settings.model_copy(update={"workers": 2})


def test_several_workers_on_one_sqlite_file_are_refused(
    monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    monkeypatch.setenv("WORKERS", "2")

    answer = shell("serve")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "ticketgate: WORKERS: more than 1 needs STORE_URL with Redis\n"


@pytest.mark.parametrize("count", ["0", "65", "-1", "1.5", "many"])
def test_a_number_of_workers_beyond_reason_is_refused(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, count: str
) -> None:
    monkeypatch.setenv("WORKERS", count)

    answer = shell("serve")

    assert answer.code == 2
    assert answer.err.startswith("ticketgate: WORKERS: ")
    assert answer.err.count("\n") == 1


def test_the_sandbox_is_one_process(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    monkeypatch.setenv("WORKERS", "2")

    answer = shell("sandbox")

    assert answer.code == 2
    assert answer.err.startswith("ticketgate: WORKERS: ")


def test_what_the_settings_point_at_is_tried_once_before_the_address_is_taken(
    folder: Path, taken_port: int
) -> None:
    del taken_port
    (folder / "keys.json").write_text("{")

    with pytest.raises(StartupError, match=r"^SESSION_KEYS_FILE: "):
        supervisor.run(two_workers())


def test_a_port_that_is_taken_is_refused(taken_port: int) -> None:
    with pytest.raises(StartupError, match=rf"^PORT: .*:{taken_port}: "):
        supervisor.run(two_workers())


def test_a_metrics_port_that_is_taken_is_refused(taken_port: int) -> None:
    with pytest.raises(StartupError, match=rf"^METRICS_PORT: .*:{taken_port}: "):
        supervisor.run(two_workers(port=0, metrics_port=taken_port))
