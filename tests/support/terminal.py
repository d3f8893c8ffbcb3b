"""A program that asks questions at a terminal of its own."""

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.processes import ROOT


def answered(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str],
    answers: Iterable[tuple[str, str]],
) -> tuple[int, str]:
    """Run a Python program; type each answer when its question is on the screen.

    Returns its exit code and everything that the screen has shown, what was typed included.
    """
    screen, keyboard = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        start_new_session=True,
        # getpass reads /dev/tty. Between fork and exec this makes one system call.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )
    os.close(keyboard)
    shown, seen = "", 0
    for question, answer in answers:
        while question not in shown[seen:]:
            came = _read(screen)
            assert came, shown
            shown += came
        seen = len(shown)
        os.write(screen, answer.encode())
    while text := _read(screen):
        shown += text
    os.close(screen)
    return program.wait(60), shown.replace("\r\n", "\n")


def _read(screen: int) -> str:
    """What comes next on the screen; "" when the program has ended."""
    assert select.select([screen], [], [], 60)[0], "nothing comes"
    try:
        return os.read(screen, 65536).decode()
    except OSError:  # Linux says so at the end of the last process
        return ""
