"""The commands of `python -m app`, one module each."""

from importlib import import_module
from typing import Any


def run(command: str, **options: Any) -> int:
    """Run one command and return its exit code; raise StartupError if it refuses.

    Only its module is imported: no command loads what it does not need, and production never loads
    the sandbox.
    """
    code: int = import_module(f"{__name__}.{command}").run(**options)
    return code
