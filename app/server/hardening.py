"""No core dumps: what is in the memory of this process is keys and tokens.

It knows nothing of them; it asks the kernel, for the whole process and for good.
"""

import ctypes
import resource
from contextlib import suppress

_PR_SET_DUMPABLE = 4


def disable_core_dumps() -> None:
    """Let no crash write this process's memory anywhere, and nobody but root read it.

    The limit alone is not enough: where `core_pattern` is a pipe, as with systemd-coredump, the
    kernel passes the limit over, and inside a container that pattern is the host's. A process that
    is not dumpable (Linux, prctl(2)) is dumped by neither way, and its `/proc/<pid>/mem` and
    `environ` are closed to other processes of the same user. Programs that it starts begin
    dumpable again, though with the limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
