"""A program that writes sessions until it is killed, and prints the id of each committed one."""

import asyncio
import sys
from pathlib import Path

from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store
from tests.stores.builders import keep, make_session

WRITERS = 8


async def _write(store: Stores, writer: int) -> None:
    number = 0
    while True:
        name = f"session-{writer}-{number}"
        await keep(store, make_session(name))
        print(name, flush=True)  # noqa: T201  # the acknowledgement
        number += 1


async def _main(path: Path) -> None:
    with open_sqlite_store(path) as store:
        await asyncio.gather(*(_write(store, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
