"""Common parts of the soak runs: options, the working folder, kills, and the report.

One seed, which is printed, fixes every random choice. It does not fix how processes interleave.
"""

import argparse
import asyncio
import secrets
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from tests.soak.fleet import Server

_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Promise:
    """A number that must be exactly this."""

    text: str
    found: int
    promised: int = 0

    @property
    def kept(self) -> bool:
        """Whether it is."""
        return self.found == self.promised

    def __str__(self) -> str:
        count = f"{self.found:,} of {self.promised:,}" if self.promised else f"{self.found:,}"
        return f"{self.text:44}{count:>12}  {'kept' if self.kept else 'BROKEN'}"


def run(
    name: str,
    summary: str,
    numbers: Mapping[str, int],
    main: Callable[[Path, argparse.Namespace], Coroutine[Any, Any, int]],
) -> int:
    """Run `main` in a temporary folder; `numbers` are its options with their defaults."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.soak.{name}", description=summary)
    for option, default in numbers.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(main(Path(folder), given))


async def kill_again_and_again(
    service: Server, progress: Callable[[], int], gaps: Iterable[int]
) -> None:
    """Kill the service and start it again, each time when progress has grown by the next gap."""
    for gap in gaps:
        moment = progress() + gap
        while progress() < moment:  # noqa: ASYNC110  # counting a request must not cost it an event
            await asyncio.sleep(_POLL_SECONDS)
        await service.kill()
        await service.start()


def conclude(facts: Mapping[str, object], promises: Sequence[Promise]) -> int:
    """Print what happened and what was promised; 0 only if every promise was kept."""
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        print(f"{name:44}{shown:>12}")
    print()
    for promise in promises:
        print(promise)
    return 0 if all(promise.kept for promise in promises) else 1
