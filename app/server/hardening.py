"""No core dumps: the memory of this process holds keys and tokens."""

import ctypes
import resource
from contextlib import suppress

_PR_SET_DUMPABLE = 4


def disable_core_dumps() -> None:
    """Forbid core dumps, and reading this process's memory by other users than root.

    The limit alone is not enough: where `core_pattern` is a pipe, as with systemd-coredump, the
    kernel ignores the limit, and a container has the pattern of its host. A process that is not
    dumpable (Linux, prctl(2)) is dumped in neither case, and its `/proc/<pid>/mem` and `environ`
    are closed to other processes of the same user. Programs that it starts are dumpable again,
    but keep the limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
