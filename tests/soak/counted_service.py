"""The service, which also writes the number of its loop's tasks to the file `tasks` each second."""

import asyncio
from pathlib import Path

import uvloop

from app.commands.serve import serve
from app.config import Settings, load_settings


def count(_port: int) -> None:
    """Write the number now, and every second from now on. Call it in the loop."""
    loop = asyncio.get_running_loop()
    Path("tasks").write_text(str(len(asyncio.all_tasks(loop))))
    loop.call_later(1, count, _port)


if __name__ == "__main__":
    uvloop.run(serve(load_settings(Settings, env_file=None, secrets_dir=None), on_start=count))
