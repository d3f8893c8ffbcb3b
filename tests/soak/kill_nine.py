"""Kill the service with `kill -9` under load: no acknowledged write is lost or duplicated.

Apps log in and refresh, often twice at once, while the service is killed and restarted over one
file. Afterwards each session is checked: its last token works, its tokens form one line, and its
ticket made no second session. `python -m tests.soak.kill_nine --help` lists the options.
"""

import argparse
import asyncio
from http import HTTPStatus
from pathlib import Path

from tests.soak.phone import RELAUNCHES
from tests.soak.run import (
    Environment,
    Owner,
    Promise,
    environment,
    kill_again_and_again,
    read_file,
    run,
)

PHONES = 60
_ANSWERS_BETWEEN_KILLS = (20, 900)


async def live(owner: Owner, rush: asyncio.Event) -> None:
    """Sign in, now and then twice, and refresh for a while; less when there is a rush."""
    with owner.noting():
        await owner.sign_in()
        if owner.choices.random() < 0.5:
            again = await owner.present_ticket()
            owner.strangers += again.status != HTTPStatus.CREATED or (
                again.body["session"]["id"],
                again.body["refresh_token"],
            ) != (owner.session_id, owner.received[0])
        for _ in range(owner.choices.randint(2, 12)):
            if not rush.is_set() and owner.ended is None:
                await owner.refresh_in_tabs(owner.choices.choice((1, 1, 2)))


async def kill(running: Environment, kills: int) -> None:
    """Kill the service this often under load; then look at every session."""
    over = asyncio.Event()

    async def phone() -> None:
        while not over.is_set():
            owner = running.app(f"owner-{len(running.apps)}", Owner)
            running.apps.append(owner)
            await live(owner, over)

    async with asyncio.TaskGroup() as group:
        for _ in range(PHONES):
            group.create_task(phone())
        gaps = [running.choices.randint(*_ANSWERS_BETWEEN_KILLS) for _ in range(kills)]
        await kill_again_and_again(
            running.running.service, lambda: running.tally["responses"], gaps
        )
        over.set()
    running.tally["responses under load"] = running.tally["responses"]
    owners = running.owners
    for some in range(0, len(owners), PHONES):
        await asyncio.gather(*(owner.take_stock() for owner in owners[some : some + PHONES]))


async def main(folder: Path, given: argparse.Namespace) -> int:
    async with environment(folder, given.seed) as running:
        await kill(running, given.kills)
        service, owners = running.running.service, running.owners
        await service.stop()
        kept = read_file(running.running.store)
        facts = {
            "sessions acknowledged": len(owners),
            **running.counted("responses under load", "requests", "logins replayed"),
            **running.counted("refreshes rotated", "refreshes replayed", RELAUNCHES),
            "slowest start, seconds": f"{service.slowest_start:.1f}",
            "sessions in the file": len(kept.subjects),
        }
        promises = [
            Promise("kills survived", service.starts - 1, given.kills),
            *running.kept_by_owners(),
            Promise("tickets with two sessions", sum(owner.strangers for owner in owners)),
            Promise("rotations lost, then rolled forward", service.rolled_forward()),
            *running.in_the_store(kept),
        ]
        return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, kills=50)
